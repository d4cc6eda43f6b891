"""A panel: several judges on the same answers, their verdicts made one, and how far the judges agree.

Each judge keeps its own rows in its own file, replies and all. A panel's row has no replies: its `members` are the
fingerprints under which the judges' rows are found.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, TypeVar

from console.address import shown
from console.config import load_config
from console.errors import InputError
from engines.options import EngineOptions
from judges.options import Aggregate, JudgeOptions, PanelOptions
from judges.panels.agreement import closer_than, share_of_pairs, step_of
from judges.parsing.verdict import aggregated
from judges.rubrics.rubric import Rubric, load_rubric
from records.keys import content_key
from records.rows import Comparison, Judgment, Usage, Winner, answer_key

if TYPE_CHECKING:
    pass

SERVED = re.compile(r"(?P<model>.+)@(?P<base_url>https?://.+)")

SAME = (
    "nothing that changes a verdict differs between them (a served model is known by its name and what its server says "
    "of it: served_as, in a judge's TOML file, tells two apart)"
)

T = TypeVar("T")
RowT = TypeVar("RowT", Judgment, Comparison)
Member = tuple[EngineOptions, JudgeOptions]


@dataclass(frozen=True)
class _Settings(JudgeOptions, EngineOptions):
    """What the file of a judge may set."""


def members(options: PanelOptions, engine: EngineOptions, judge: JudgeOptions) -> list[Member]:
    """Return the engine and the settings of each judge; none where no --judge is given.

    Raises InputError where a judge's file is wrong, two judges are the same, their scales differ, or the quorum or the
    rule cannot be met.
    """
    found = [member_named(word, engine, judge) for word in options.judge]
    if not found:
        return []
    if len(found) == 1:
        raise InputError("a panel has at least two judges: give --judge again, or name the only one with --model")
    for place, one in enumerate(found):
        if _what_matters(one) in map(_what_matters, found[:place]):
            raise InputError(f"--judge {shown(options.judge[place])}: the panel has the same judge already")
    rubrics = [load_rubric(own.rubric) for _, own in found]
    for word, rubric in zip(options.judge, rubrics, strict=True):
        if (rubric.kind, rubric.scale) != (rubrics[0].kind, rubrics[0].scale):
            raise InputError(
                f"--judge {shown(word)}: its rubric is {_scale_of(rubric)}, that of --judge "
                f"{shown(options.judge[0])} is {_scale_of(rubrics[0])}; a panel has one kind and one scale"
            )
    if rubrics[0].kind == "pair" and options.panel_rule in ("max", "min"):
        raise InputError(f"--panel-rule {options.panel_rule} is for scores; compare with majority, mean or median")
    _quorum(options.quorum, len(found))
    return found


def panel_fingerprint(fingerprints: Sequence[str], rule: Aggregate | None, quorum: int | None) -> str:
    """Return 16 hex digits of everything that changes the panel's verdict; the order of its judges does not.

    Raises InputError where two judges have the same fingerprint, hence always the same verdict.
    """
    if len(set(fingerprints)) < len(fingerprints):
        raise InputError(f"two judges of the panel are the same: {SAME}")
    return content_key("panel", sorted(fingerprints), rule, _quorum(quorum, len(fingerprints)))


def combine(
    rows: Sequence[Judgment | None],
    members: Sequence[str],
    rule: Aggregate | None,
    quorum: int | None,
    rubric: Rubric,
) -> Judgment:
    """Return the panel's judgment of one response from its judges' rows, in the order of `members`.

    A judge without a row or a verdict has no vote; under the quorum there is no score. Criteria are combined one by
    one, by the same rule.
    """
    first = _first(rows, answer_key)
    how = rule or rubric.aggregate
    scores = [row.score if row else None for row in rows]
    known = [score for score in scores if score is not None]
    scored = len(known) >= _quorum(quorum, len(rows))
    fingerprint = panel_fingerprint(members, rule, quorum)
    return Judgment(
        id=content_key("judgment", fingerprint, answer_key(first), first.model),
        response_id=first.response_id,
        prompt_id=first.prompt_id,
        prompt=first.prompt,
        response=first.response,
        model=first.model,
        score=aggregated(known, how) if scored else None,
        scores=scores,
        replies=[],
        error=None if scored else _no_quorum(rows, members, len(known), quorum),
        spread=pstdev(known) if scored else None,
        rubric=rubric.name,
        judge=fingerprint,
        usage=sum((row.usage for row in rows if row), Usage()),
        read="panel",
        aggregate=how,
        n_samples=len(known),
        missing=_silent(rows, lambda row: row.score),
        criteria=_criteria(rows, how) if scored else None,
        agreement=share_of_pairs(known, closer_than(step_of(rubric) / 2)),
        members=list(members),
        response_finish_reason=first.response_finish_reason,
    )


def combine_comparisons(
    rows: Sequence[Comparison | None], members: Sequence[str], rule: Aggregate | None, quorum: int | None
) -> Comparison:
    """Return the panel's comparison of two answers from its judges' rows, in the order of `members`.

    majority: the winner for more than half of the judges that have a verdict, else a tie. mean, median: by their
    preferences. A judge without a row or a verdict has no vote; under the quorum there is no winner.
    """
    first = _first(rows, lambda row: (row.prompt_id, row.response_a, row.response_b))
    voters = [row for row in rows if row is not None and row.winner is not None]
    scored = len(voters) >= _quorum(quorum, len(rows))
    preferences = [row.preference_b for row in voters if row.preference_b is not None]
    flips = [row.flipped for row in voters if row.flipped is not None]
    orders = {row.orders for row in rows if row}
    fingerprint = panel_fingerprint(members, rule, quorum)
    texts = (first.prompt, first.response_a, first.response_b, first.reference, first.judged)
    return Comparison(
        id=content_key("comparison", fingerprint, first.prompt_id, first.model_a, first.model_b, texts),
        prompt_id=first.prompt_id,
        prompt=first.prompt,
        response_a=first.response_a,
        response_b=first.response_b,
        model_a=first.model_a,
        model_b=first.model_b,
        winner=winner_of(preferences, rule) if scored else None,
        first_order=None,
        second_order=None,
        flipped=any(flips) if scored and flips else None,
        preference_b=fmean(preferences) if scored else None,
        replies=[],
        error=None if scored else _no_quorum(rows, members, len(voters), quorum),
        rubric=first.rubric,
        judge=fingerprint,
        usage=sum((row.usage for row in rows if row), Usage()),
        read="panel",
        aggregate=rule or "majority",
        n_samples=len(voters),
        missing=_silent(rows, lambda row: row.winner),
        votes=[row.preference_b if row else None for row in rows],
        agreement=share_of_pairs([row.winner for row in voters], lambda one, other: one == other),
        members=list(members),
        orders=orders.pop() if len(orders) == 1 else "both",
        reference=first.reference,
        judged=first.judged,
    )


def member_named(word: str, engine: EngineOptions, judge: JudgeOptions) -> Member:
    """Return the judge that a --judge names: a model, NAME@URL for a served one, or a TOML file."""
    engine = replace(engine, served_as=None)  # that names --model
    if word.endswith(".toml"):
        return _from_file(Path(word), engine, judge)
    if served := SERVED.fullmatch(word):
        return replace(engine, model=served["model"], base_url=served["base_url"], engine="openai"), judge
    return replace(engine, model=word), judge


def _from_file(path: Path, engine: EngineOptions, judge: JudgeOptions) -> Member:
    found = load_config(path, _Settings(**vars(engine), **vars(judge)))
    if found.min_coverage != judge.min_coverage:
        raise InputError(f"{path}: 'min_coverage' is for the whole panel: give --min-coverage")
    own_engine, own_judge = (
        {field.name: getattr(found, field.name) for field in fields(kind)} for kind in (EngineOptions, JudgeOptions)
    )
    if found.engine == "transformers" and found.base_url == engine.base_url:
        own_engine["base_url"] = None  # the server is of the command's other judges
    return EngineOptions(**own_engine), JudgeOptions(**own_judge)


def _what_matters(member: Member) -> Member:
    alike = replace(member[0], concurrency=1, batch_size=1, timeout_s=1.0, retry_s=None, max_failures_in_row=1)
    return alike, member[1]


def _scale_of(rubric: Rubric) -> str:
    low, high = rubric.scale
    return "of comparisons" if rubric.kind == "pair" else f"from {low:g} to {high:g}"


def _quorum(quorum: int | None, n_members: int) -> int:
    if quorum is not None and not 1 <= quorum <= n_members:
        raise InputError(f"--quorum must be from 1 to the number of judges, {n_members}, not {quorum}")
    return quorum or n_members // 2 + 1


def _first(rows: Sequence[RowT | None], about: Callable[[RowT], object]) -> RowT:
    found = [row for row in rows if row is not None]
    if len({about(row) for row in found}) != 1:
        raise ValueError("a panel's row is made from rows on one thing, at least one")
    return found[0]


def _silent(rows: Sequence[RowT | None], verdict: Callable[[RowT], object]) -> dict[str, str]:
    """Return why a judge has no vote, by its place."""
    silent = {place: row for place, row in enumerate(rows) if row is None or verdict(row) is None}
    return {str(place): (row.error or "unknown") if row else "no row" for place, row in silent.items()}


def _no_quorum(
    rows: Sequence[Judgment | Comparison | None], members: Sequence[str], n_known: int, quorum: int | None
) -> str:
    needed = _quorum(quorum, len(rows))
    reasons = {member: row.error if row else "no row" for member, row in zip(members, rows, strict=True)}
    why = "; ".join(f"{member}: {reason}" for member, reason in reasons.items() if reason)
    return f"{n_known} of {len(rows)} judges have a verdict, and {needed} are needed; {why}"


def _criteria(rows: Sequence[Judgment | None], rule: Aggregate) -> dict[str, float | None] | None:
    """Return each criterion's score, where all judges that have a verdict grade the same criteria."""
    graded = [row.criteria or {} for row in rows if row is not None and row.score is not None]
    names = list(graded[0])
    if not names or any(set(one) != set(names) for one in graded):
        return None
    known = {name: [score for one in graded if (score := one[name]) is not None] for name in names}
    return {name: aggregated(scores, rule) if scores else None for name, scores in known.items()}


def winner_of(preferences: Sequence[float], rule: Aggregate | None) -> Winner:
    """Return the winner by the judges' preferences for b: by majority, else a tie, or by their mean or median."""
    if rule in ("mean", "median"):
        return _winner_at(aggregated(preferences, rule))
    winner, n = Counter(map(_winner_at, preferences)).most_common(1)[0]
    return winner if 2 * n > len(preferences) else "tie"


def _winner_at(preference: float) -> Winner:
    return "tie" if preference == 0.5 else "a" if preference < 0.5 else "b"
