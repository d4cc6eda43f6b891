"""Finds the verdict in a judge's reply, or says why there is none.

Only the reply is looked at, never the prompt, so an answer that says "Score: 5" scores nothing. The last verdict
counts: an earlier one may be a quotation.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from judges.rubric import Rubric

PARSER_VERSION = 1
"""Part of every judge's fingerprint; raised whenever a reply may be read differently."""

THINKING = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
OPEN_THINKING = re.compile(r"<think(?:ing)?>", re.IGNORECASE)
SEPARATOR = r"""[\s"'*_`]*(?:[:=-]|\bis\b)[\s"'*_`<(\[]*"""
NUMBER = r"[-+]?\d+(?:[.,]\d+)?"
SCALE = r"(?:[*_`\s]*(?:/|out\s+of)\s*(?P<scale>\d+(?:\.\d+)?))?"
MORE = rf"(?P<more>\s*(?:-|to|or|and|/)\s*{NUMBER})?"


@dataclass(frozen=True)
class Parsed:
    """A verdict, or the reason why there is none."""

    value: float | None
    error: str | None = None


def parse_score(reply: str, rubric: Rubric) -> Parsed:
    """Return the last score that `reply` gives on the rubric's scale."""
    text = _readable(reply)
    if text is None:
        return Parsed(None, "the reply stops inside its reasoning")
    pattern = re.compile(
        rf"(?<![^\W_]){re.escape(rubric.label)}(?![^\W_]){SEPARATOR}(?P<value>{NUMBER})(?![\d%]){SCALE}{MORE}",
        re.IGNORECASE,
    )
    matches = list(pattern.finditer(text))
    if not matches:
        return Parsed(None, "no verdict in the reply")
    last = matches[-1]
    value = float(last["value"].replace(",", "."))
    if last["more"]:
        return Parsed(None, f"contradictory: {last[0].strip()!r}")
    if last["scale"] and float(last["scale"]) != rubric.high:
        return Parsed(None, f"another scale than {rubric.low:g} to {rubric.high:g}: {last[0].strip()!r}")
    if not rubric.low <= value <= rubric.high:
        return Parsed(None, f"{value:g} is outside {rubric.low:g} to {rubric.high:g}")
    on_last_line = {match["value"] for match in matches if "\n" not in text[match.start() : last.start()]}
    if len(on_last_line) > 1:
        return Parsed(None, f"contradictory: {' and '.join(sorted(on_last_line))} in one line")
    return Parsed(value)


def parse_winner(reply: str, rubric: Rubric) -> tuple[Literal["a", "b", "tie"] | None, str | None]:
    """Return the last verdict of a comparison as `(winner, None)`, or `(None, reason)`."""
    text = _readable(reply)
    if text is None:
        return None, "the reply stops inside its reasoning"
    pattern = re.compile(
        rf"(?<![^\W_]){re.escape(rubric.label)}(?![^\W_]){SEPARATOR}(?:answer|response|assistant)?[\s_]*(A|B|tie)\b",
        re.IGNORECASE,
    )
    found = [match[1].lower() for match in pattern.finditer(text)]
    if not found:
        return None, "no verdict in the reply"
    return found[-1], None  # type: ignore[return-value]


def _readable(reply: str) -> str | None:
    """Return the reply after its reasoning, with full-width characters made ordinary; None where it never ends."""
    text = THINKING.sub("", unicodedata.normalize("NFKC", reply))
    return None if OPEN_THINKING.search(text) else text
