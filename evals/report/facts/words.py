"""The words of a judge and of its tools, as a report shows them."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from evals.report.facts.judged import rows_in
from evals.report.facts.shapes import Words
from evals.report.facts.shown import ShownPair, Side
from records.runs import Run

LEAST_SHARE = 0.01
NO_BREAK = "\u00a0"
MARKS = {"followed": "✓", "broken": "✗"}


def with_words(run: Run, pairs: Sequence[ShownPair], problems: list[str]) -> list[ShownPair]:
    """Return the pairs with the judge's words about each answer, from the judgments of the iteration they made."""
    words: dict[tuple[str, str, str], list[str]] = {}
    for source in {pair.source for pair in pairs if not pair.words}:
        wanted = {(side.prompt_id, text) for side in pairs if side.source == source for text in _texts(side)}
        path = run.folder / source / "judgments.jsonl"
        if not path.is_file():
            continue
        for row in rows_in(path, Words, problems):
            if (row.prompt_id, row.response) in wanted:
                words[source, row.prompt_id, row.response] = [said(reply, row.read) for reply in row.replies]
    return [
        replace(pair, left=_worded(pair, pair.left, words), right=_worded(pair, pair.right, words)) for pair in pairs
    ]


def said(reply: str, read: str) -> str:
    """Return a reply as a person reads it. One that was read by log-probabilities is its choices in percent."""
    if read != "logprobs":
        return reply
    try:
        logprobs = msgspec.json.decode(reply, type=dict[str, float])
        masses = {choice: math.exp(logprob) for choice, logprob in logprobs.items()}
        total = sum(masses.values())
        shares = {choice: mass / total for choice, mass in masses.items()}
    except (msgspec.DecodeError, OverflowError, ZeroDivisionError):
        return reply
    parts = (f"{choice}: {100 * share:.0f} %" for choice, share in shares.items() if share >= LEAST_SHARE)
    return ", ".join(part.replace(" ", NO_BREAK) for part in parts)


def found_of(evidence: object) -> list[str]:
    """Return a line for each constraint that a tool checked in an answer. Evidence of another shape shows nothing."""
    listed = evidence.get("constraints") if isinstance(evidence, dict) else None
    if not isinstance(listed, list):
        return []
    return [_line(checked) for checked in listed if isinstance(checked, dict)]


def n_followed(evidence: object) -> int | None:
    """Return how many constraints an answer follows, or None if nobody checked."""
    n = evidence.get("n_followed") if isinstance(evidence, dict) else None
    return n if isinstance(n, int) else None


def _line(checked: dict[str, Any]) -> str:
    outcome = checked.get("outcome") or checked.get("strict")
    mark = MARKS.get(outcome, "?") if isinstance(outcome, str) else "?"
    return f"{mark} {checked.get('kind')}: {checked.get('reason') or ''}".removesuffix(": ")


def _texts(pair: ShownPair) -> tuple[str, str]:
    return pair.left.text, pair.right.text


def _worded(pair: ShownPair, side: Side, words: dict[tuple[str, str, str], list[str]]) -> Side:
    return replace(side, words=words.get((pair.source, pair.prompt_id, side.text), []))
