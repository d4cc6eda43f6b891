"""Shows in words what a program found of an answer's form. Loads no Textual."""

from collections.abc import Sequence
from typing import Any

from console.visible import one_line

WORDS = {"followed": "✓ followed", "broken": "✗ broken"}
NOT_CHECKABLE = "? not checkable"
REASON_CHARS = 300


def constraints_text(evidence: Sequence[Any] | None, side: int) -> str:
    """Return a line for each constraint of one side's answer, or nothing if the pair has no such evidence.

    `side` is 0 for the chosen answer and 1 for the rejected one. Evidence of another shape shows nothing.
    """
    of_side = evidence[side] if evidence is not None and len(evidence) > side else None
    if not isinstance(of_side, dict):
        return ""
    listed = of_side.get("constraints")
    if not isinstance(listed, list) or not all(isinstance(checked, dict) for checked in listed):
        return ""
    return "\n".join(_line(checked, loose=of_side.get("loose") is True) for checked in listed)


def _line(checked: dict[str, Any], *, loose: bool) -> str:
    strict, best = checked.get("strict"), checked.get("loose")
    outcome = best if loose else strict
    word = WORDS.get(outcome, NOT_CHECKABLE) if isinstance(outcome, str) else NOT_CHECKABLE
    # the two readings differ, which the one outcome shown would hide
    if strict == "broken" and best == "followed":
        word += " (only loosely)" if loose else " (loosely followed)"
    reason = one_line(str(checked.get("reason") or ""))
    cut = reason if len(reason) <= REASON_CHARS else f"{reason[: REASON_CHARS - 1]}…"
    return f"{word}: {one_line(str(checked.get('kind')))}" + (f": {cut}" if cut else "")
