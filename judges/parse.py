"""Reads the verdict in a judge's reply, or says why there is none.

Only the reply is looked at, never the prompt, so an answer that says "Score: 5" scores nothing. A verdict that opens a
line, as the judge is asked to give it, outranks one within a sentence. The last one counts, because an earlier one may
be quoted, and what stands in quotation marks is. Where two speak against each other there is none.
"""

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from judges.reply_claims import NO_VERDICT, number, on_scale, text_verdicts, word_value
from judges.reply_patterns import REASONING_ENDS, REASONING_OPENS, plain
from judges.rubric import Rubric, json_key

PARSER_VERSION = 2
"""Part of every judge's fingerprint; raised whenever a reply may be read differently."""


@dataclass(frozen=True)
class Verdict:
    """What one reply says, or the reason why it says nothing."""

    value: float | None
    error: str | None = None
    criteria: dict[str, float] | None = None


def parse_reply(reply: str, rubric: Rubric, *, structured: bool = False) -> Verdict:
    """Return the verdict that `reply` gives on `rubric`; any text whatever gives a score on its scale or a reason.

    Takes time linear in the length of the reply, save for a rubric with a pattern of its own.
    """
    # A reply that begins with JSON has no reasoning before it; a tag in one of its strings is text.
    said = reply if structured and reply.lstrip().startswith(("{", "```")) else _after_reasoning(reply)
    if said is None:
        return Verdict(None, "the reply stops inside its reasoning")
    if structured:
        found = _json_verdicts(said, rubric)
    elif rubric.pattern:
        found = _pattern_verdicts(plain(said), rubric)
    else:
        found = text_verdicts(plain(said), rubric)
    if isinstance(found, str):
        return Verdict(None, found)
    return Verdict(rubric.weighted(found), None, found if rubric.criteria else None)


def _after_reasoning(reply: str) -> str | None:
    """Return what follows the reasoning that `reply` begins with; None where the reasoning never ends.

    A tag that opens later is part of a quotation. Reasoning that was opened in the prompt is only closed here.
    """
    start = 0
    while opened := REASONING_OPENS.match(reply, start):
        closed = REASONING_ENDS.search(reply, opened.end())
        if closed is None:
            return None
        start = closed.end()
    if start == 0:
        start = max((closed.end() for closed in REASONING_ENDS.finditer(reply)), default=0)
    return reply[start:]


def _pattern_verdicts(text: str, rubric: Rubric) -> dict[str, float] | str:
    """Return the verdict of the last match of the rubric's own pattern."""
    said: str | None = None
    for match in _own_pattern(rubric.pattern).finditer(text):
        said = match["verdict"]
    if not said:
        return NO_VERDICT
    value, error = word_value(said, rubric) if rubric.values else on_scale(number(said.strip()), rubric)
    return {rubric.label: value} if value is not None else str(error)


@lru_cache(maxsize=64)
def _own_pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _json_verdicts(text: str, rubric: Rubric) -> dict[str, float] | str:
    """Return the verdicts of a reply that must be one JSON object of the rubric's schema, or what is wrong with it."""
    try:
        fields = json.loads(_unfenced(text), object_pairs_hook=_once, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        return f"not one JSON object: {error}"[:200]
    if not isinstance(fields, dict):
        return f"not one JSON object: {type(fields).__name__}"
    expected = rubric.schema["properties"].keys()
    if fields.keys() != expected:
        return f"the JSON object has the keys {sorted(fields)}, not {sorted(expected)}"[:200]
    found: dict[str, float] = {}
    for label in rubric.labels:
        value, reason = _field_value(fields[json_key(label)], rubric)
        if value is None:
            return f"{label}: {reason}" if rubric.criteria else str(reason)
        found[label] = value
    return found


def _field_value(said: object, rubric: Rubric) -> tuple[float | None, str | None]:
    shown = repr(said)[:80]
    if rubric.values:
        return word_value(said, rubric) if isinstance(said, str) else (None, f"{shown} is not a verdict")
    if isinstance(said, bool) or not isinstance(said, int | float):
        return None, f"{shown} is not a number"
    if not rubric.low <= said <= rubric.high:
        return None, f"{shown} is outside {rubric.low:g} to {rubric.high:g}"
    return float(said), None


def _unfenced(text: str) -> str:
    text = text.strip()
    if not (text.startswith("```") and text.endswith("```")):
        return text
    language, _, inside = text[3:-3].partition("\n")
    return inside if language.strip().lower() in ("", "json") else text


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a key stands in it twice")
    return fields


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is no number")
