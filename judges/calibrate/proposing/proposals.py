"""The question that asks a model for new criteria, and the criteria in its reply."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from console.errors import InputError
from judges.labelled.labels import LabelledPair, Verdict
from judges.rubrics.fences.code import filled, tags_in
from judges.rubrics.fences.near_misses import taken_apart
from judges.rubrics.rubric import Criterion, Rubric, json_key, load_rubric
from records.keys import content_key
from records.reasoning import without_reasoning
from records.rows import text_of

TEMPLATE = "criteria"
"""The rubric whose prompt, scale and form of reply a proposed rubric has."""
PROMPT = Path(__file__).with_name("propose.txt")
LEAST, MOST = 2, 8
"""Criteria of a rubric."""
SHOWN = 600
"""Characters of a text in a case."""
NAME = re.compile(r"[A-Za-z][A-Za-z0-9 -]{1,39}")
LONGEST = 400
"""Characters of a description."""
OURS = ("low", "high", "criteria", "least", "most")


@dataclass(frozen=True)
class Case:
    """A pair on which the judge and the label differ."""

    pair: LabelledPair
    verdict: Verdict


def question(rubric: Rubric, cases: Sequence[Case]) -> str:
    """Return the question for new criteria. The texts of the cases cannot close their tags."""
    prompt, (low, high) = PROMPT.read_text(encoding="utf-8"), load_rubric(TEMPLATE).scale
    shown = "\n\n".join(_case(number, case) for number, case in enumerate(cases, start=1))
    texts = {
        "low": f"{low:g}",
        "high": f"{high:g}",
        "least": str(LEAST + 1),
        "most": str(MOST - 2),
        "criteria": _listed(rubric) or "- none: the judge gives one grade for the whole answer",
        "cases": taken_apart(shown, tags_in(prompt)),
    }
    return filled(prompt, texts, OURS).strip()


def rubric_in(reply: str) -> Rubric:
    """Return the rubric with the criteria in a reply. Raises InputError, which says why, if there are none."""
    text = without_reasoning(reply)
    criteria = [_criterion(entry) for entry in _list_in(text)]
    names = [json_key(criterion.name) for criterion in criteria]
    if not LEAST <= len(criteria) <= MOST:
        raise InputError(f"{len(criteria)} criteria, and {LEAST} to {MOST} are wanted")
    if len(set(names)) < len(names) or "reasoning" in names:
        raise InputError("two criteria with one name, or one called reasoning")
    total = sum(criterion.weight for criterion in criteria)
    weighted = [msgspec.structs.replace(criterion, weight=criterion.weight / total) for criterion in criteria]
    key = content_key("proposed", [(criterion.name, criterion.weight, criterion.description) for criterion in weighted])
    source = "written by judges.rubrics --from"
    return msgspec.structs.replace(load_rubric(TEMPLATE), name=f"proposed-{key[:6]}", source=source, criteria=weighted)


def _list_in(text: str) -> list[object]:
    """Return the last JSON list of objects in a text."""
    for start in reversed([match.start() for match in re.finditer(r"\[\s*\{", text)]):
        end = text.rfind("]")
        try:
            entries = msgspec.json.decode(text[start : end + 1])
        except (msgspec.DecodeError, UnicodeEncodeError):
            continue
        if isinstance(entries, list):
            return entries
    raise InputError("no JSON list of criteria")


def _criterion(entry: object) -> Criterion:
    if not isinstance(entry, dict):
        raise InputError("a criterion is no object")
    name, description, weight = (entry.get(key) for key in ("name", "description", "weight"))
    if not isinstance(name, str) or not NAME.fullmatch(name.strip()):
        raise InputError(f"{str(name)[:40]!r} is no name of a criterion: letters, digits, spaces and -")
    if not isinstance(description, str) or not description.strip():
        raise InputError(f"the criterion '{name}' has no description")
    described = " ".join(description.split())[:LONGEST]
    known = isinstance(weight, int | float) and not isinstance(weight, bool) and 0 < weight < 1e6
    return Criterion(name.strip(), float(weight) if known else 1.0, described)  # type: ignore[arg-type]


def _case(number: int, case: Case) -> str:
    pair, verdict = case.pair, case.verdict
    better, worse = (pair.response_a, pair.response_b) if pair.label == "a" else (pair.response_b, pair.response_a)
    judged = "the judge found both equally good" if verdict.winner == "tie" else "the judge preferred the other one"
    texts = [("request", text_of(pair.prompt)), ("people prefer", better), (f"to this, and {judged}", worse)]
    return "\n".join([f"Case {number}", *(f"{name}: {_cut(text)}" for name, text in texts)])


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} [...]"


def _listed(rubric: Rubric) -> str:
    return "\n".join(f"- {c.name} (weight {c.weight:.2g}): {c.description}" for c in rubric.criteria)
