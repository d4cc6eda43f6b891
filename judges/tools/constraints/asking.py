"""Asks a model which constraints a prompt sets. A constraint that does not stand in the prompt is left out."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from engines.protocol import Completion, Engine, Sampling
from judges.judging.question import Question, load_question
from judges.parsing.verdict import usage_of
from judges.tools.constraints.grounding import cues, why_not_in
from judges.tools.constraints.kinds import SettingsError, all_kinds, settings_of
from judges.tools.rows import UNREADABLE, is_final
from records.finish import cut_off
from records.reasoning import answer_span
from records.rows import Constraint, Usage

HERE = Path(__file__).parent
ASKING_VERSION = 1
"""Raised when the same reply would be read differently."""
SAMPLING = Sampling(max_new_tokens=400, temperature=0.0, top_p=1.0)
KINDS, NONE = "[KINDS]", "NONE"
MARKS = re.compile(r"^\s*(?:[-*•–]|\d{1,3}[.)])?\s*")
FENCE = re.compile(r"^\s*```\w*\s*$", re.MULTILINE)
SHOWN = 60


@dataclass(frozen=True)
class Named:
    """The constraints of one prompt."""

    constraints: list[Constraint]
    reason: str | None = None
    """The reason for missing ones."""
    usage: Usage = field(default_factory=Usage)
    error: str | None = None
    """The reason why nobody can say."""

    @property
    def is_final(self) -> bool:
        """Whether asking again would change nothing: there is a reply, readable or not."""
        return is_final(self.error)


@cache
def asking_question() -> Question:
    """Return the question that asks a model for the constraints of a prompt, with the table of kinds in it."""
    kinds = all_kinds()
    rows = [
        f"{name} ({', '.join(kinds[name].settings) or 'no settings'}): {kinds[name].table_entry}" for name in cues()
    ]
    question = load_question("ask", HERE)
    # put in here and not on each request, so that the question's identity covers the table
    return msgspec.structs.replace(question, prompt=question.prompt.replace(KINDS, "\n".join(rows)))


def ask_for_constraints(engine: Engine, prompts: Sequence[str]) -> Iterator[tuple[int, Named]]:
    """Yield the position and the constraints of each prompt, as the engine's replies come."""
    question = asking_question()
    for completion in engine.generate([question.request(prompt=prompt) for prompt in prompts], SAMPLING):
        yield completion.index, _read(completion, prompts[completion.index])


def _read(completion: Completion, prompt: str) -> Named:
    usage = usage_of(completion)
    if completion.error:
        return Named([], usage=usage, error=completion.error)
    ended, span = cut_off(completion.finish_reason), answer_span(completion.text)
    if ended or span is None:
        return Named([], usage=usage, error=f"{UNREADABLE}: it was cut off ({ended or 'inside its reasoning'})")
    reply = FENCE.sub("", completion.text[span]).strip()
    listed, says_none = _objects(reply), any(line.strip(" -*•.`").upper() == NONE for line in reply.splitlines())
    if says_none == bool(listed):  # both, or neither
        what = "it names some and says that there are none" if listed else f"it says {reply[:SHOWN]!r}"
        return Named([], usage=usage, error=f"{UNREADABLE}: {what}")
    if says_none:
        return Named([], "the model finds no constraint in the prompt", usage)
    constraints, dropped = _standing(listed, prompt)
    return Named(constraints, "; ".join(dropped) or None, usage)


def _objects(reply: str) -> list[dict[str, Any]]:
    """Return the JSON objects of a reply that is one, a list of them, or has one on each line."""
    whole = _decoded(reply)
    items = whole if isinstance(whole, list) else [whole] if isinstance(whole, dict) else []
    if not items:
        # a comma or ` at the end: an item of a list that cannot be read as a whole
        items = [_decoded(MARKS.sub("", line).rstrip(" ,`")) for line in reply.splitlines()]
    return [item for item in items if isinstance(item, dict) and isinstance(item.get("kind"), str)]


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    # a model may open thousands of brackets, or write half of a surrogate pair
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None


def _standing(listed: Sequence[dict[str, Any]], prompt: str) -> tuple[list[Constraint], list[str]]:
    """Return the listed constraints that stand in the prompt, each once, and why the others are left out."""
    constraints: list[Constraint] = []
    dropped: list[str] = []
    for item in listed:
        # settings beside the kind, or in kwargs as in IFEval's files
        given = {name: value for name, value in item.items() if name not in ("kind", "kwargs")}
        settings = item["kwargs"] if isinstance(item.get("kwargs"), dict) else given
        constraint = Constraint(kind=item["kind"], kwargs={n: v for n, v in settings.items() if v is not None})
        try:
            constraint = msgspec.structs.replace(constraint, kwargs=settings_of(constraint))
            reason = why_not_in(prompt, constraint)
        except SettingsError as wrong:
            reason = str(wrong)
        if reason is not None:
            dropped.append(f"left out {constraint.kind[:SHOWN]}: {reason}")
        elif constraint not in constraints:
            constraints.append(constraint)
    return constraints, list(dict.fromkeys(dropped))
