"""Shows in words what a program found of an answer's form. Loads no Textual."""

from collections.abc import Sequence
from typing import Any

from console.visible import one_line

WORDS = {"followed": "✓ followed", "broken": "✗ broken"}
CLAIM_WORDS = {"supported": "✓ supported", "refuted": "✗ refuted", "not enough": "? not enough evidence"}
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


def claims_text(evidence: Any) -> str:
    """Return a line for each claim that was checked, and below it the passage that decided."""
    listed = evidence.get("claims") if isinstance(evidence, dict) else None
    lines = []
    for claim in listed if isinstance(listed, list) else ():
        if not isinstance(claim, dict):
            continue
        verdict = claim.get("verdict")
        word = CLAIM_WORDS.get(verdict, "? not checked") if isinstance(verdict, str) else "? not checked"
        lines.append(f"{word}: {_cut(claim.get('claim'))}")
        quote = claim.get("quote")
        if isinstance(quote, dict):
            title = quote.get("title") or quote.get("passage_id")
            lines.append(f"    {_cut(title)}: {_cut(quote.get('text'))}")
        elif claim.get("reason"):
            lines.append(f"    {_cut(claim['reason'])}")
    return "\n".join(lines)


def _cut(text: object) -> str:
    shown = one_line(str(text or ""))
    return shown if len(shown) <= REASON_CHARS else f"{shown[: REASON_CHARS - 1]}…"


def _line(checked: dict[str, Any], *, loose: bool) -> str:
    strict, best = checked.get("strict"), checked.get("loose")
    outcome = best if loose else strict
    word = WORDS.get(outcome, NOT_CHECKABLE) if isinstance(outcome, str) else NOT_CHECKABLE
    # the two readings differ, which the one outcome shown would hide
    if strict == "broken" and best == "followed":
        word += " (only loosely)" if loose else " (loosely followed)"
    cut = _cut(checked.get("reason"))
    return f"{word}: {one_line(str(checked.get('kind')))}" + (f": {cut}" if cut else "")
