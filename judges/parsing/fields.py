"""Reads the verdicts of a reply that is a JSON object."""

import json
import re
from typing import Any

from judges.parsing.doubts import is_taken_back
from judges.parsing.patterns import patterns_of
from judges.parsing.refusals import refuses
from judges.parsing.values import NoVerdict, claimed_value, word_value
from judges.rubrics.rubric import Rubric, json_key

_BEGINS = re.compile(r"[^{}\[\]]{0,300}?(?=\{)")
"""Text that may stand before the object: nothing, a fence, or a sentence."""
_ENDS = re.compile(r"\s*(?:```)?\s*")
_TELLS = re.compile(r"""[\d{}\[\]"=]|\w:\ ?\S|\b(?:but|instead|rather|should|would|un\w+|tie|[A-HJ-Z])\b""")
"""Text that must not follow the object, because it could be another verdict or contradict this one."""
_FENCE = re.compile(r"[^`{}\[\]]{0,300}```(?:json)?\s*", re.IGNORECASE)
_SCALE_KEY = re.compile(r"max|scale|out_?of|total_points|possible", re.IGNORECASE)


def begins_as_json(text: str) -> bool:
    """Return whether `text` begins with an object, a list of them, or a fence around one."""
    return text.lstrip("\ufeff \t\r\n").startswith(("{", "[", "```"))


def json_verdicts(text: str, rubric: Rubric) -> dict[str, float] | NoVerdict:
    """Return the verdicts of a reply that must be one JSON object of the rubric's schema, or the error.

    The reasoning may be missing, there may be other texts, numbers may be strings, and a sentence or a fence may
    precede the object.
    """
    try:
        fields = _object(text)
    except (ValueError, RecursionError) as error:
        return NoVerdict(f"not one JSON object: {error}"[:200])
    if not isinstance(fields, dict):
        return NoVerdict(f"not one JSON object: {type(fields).__name__}")
    wanted = [json_key(label) for label in rubric.labels]
    others = {key for key, value in fields.items() if key not in wanted and not isinstance(value, str)}
    if others or not fields.keys() >= set(wanted):
        keys = f"the JSON object has the keys {sorted(fields)}, not {sorted(rubric.schema['properties'])}"
        return NoVerdict(keys[:200])
    return _verdicts(fields, rubric)


def object_in_text(text: str, rubric: Rubric) -> dict[str, float] | NoVerdict | None:
    """Return the verdicts of a reply that is an unrequested JSON object, or None if it is not one."""
    try:
        fields = _object(text)
    except (ValueError, RecursionError):
        return NoVerdict("several JSON objects") if _several(text) else None
    if isinstance(fields, list):
        return NoVerdict("several JSON objects") if any(isinstance(item, dict) for item in fields) else None
    if not isinstance(fields, dict) or not fields.keys() >= {json_key(label) for label in rubric.labels}:
        return None
    scales = [value for key, value in fields.items() if _SCALE_KEY.search(key) and json_key(key) not in rubric.labels]
    if not rubric.values and any(isinstance(scale, int | float) and scale != rubric.high for scale in scales):
        return NoVerdict(f"another scale than {rubric.low:g} to {rubric.high:g}")
    return _verdicts(fields, rubric)


def _object(text: str) -> Any:
    """Return the value of the JSON in `text`, with keys as in the rubric's schema. Raises ValueError."""
    text = text.strip("\ufeff \t\r\n")
    opened = _FENCE.match(text) or _BEGINS.match(text)
    begin = opened.end() if opened else 0
    fields, end = _DECODER.raw_decode(text, begin)
    if not _ENDS.fullmatch(text, end) and not _is_ordinary(text[end:]):
        raise ValueError("something follows it")
    return fields


def _is_ordinary(rest: str) -> bool:
    """Return whether the text after an object is a sentence without a number, another object or second thoughts."""
    return not _TELLS.search(rest) and not is_taken_back(rest)


def _several(text: str) -> bool:
    try:
        _, end = _DECODER.raw_decode(text.strip("\ufeff \t\r\n"))
    except (ValueError, RecursionError):
        return False
    return text.strip("\ufeff \t\r\n")[end:].lstrip(", \t\r\n").startswith("{")


def _verdicts(fields: dict[str, Any], rubric: Rubric) -> dict[str, float] | NoVerdict:
    wanted = {json_key(label) for label in rubric.labels}
    if any(
        refuses(field_text) for key, field_text in fields.items() if key not in wanted and isinstance(field_text, str)
    ):
        return NoVerdict("no verdict: the judge refuses to give one")
    verdicts: dict[str, float] = {}
    for label in rubric.labels:
        value, reason = _field_value(fields[json_key(label)], label, rubric)
        if value is None:
            return NoVerdict(f"{label}: {reason}" if rubric.criteria else str(reason))
        verdicts[label] = value
    return verdicts


def _field_value(said: object, label: str, rubric: Rubric) -> tuple[float | None, str | None]:
    shown = repr(said)[:80]
    if isinstance(said, str):
        alone = patterns_of(label, tuple(rubric.values)).alone.fullmatch(said.strip()) if len(said) < 120 else None
        if alone:
            return claimed_value(alone, rubric)
        return word_value(said, rubric) if rubric.values else (None, f"{shown} is not a number: no verdict")
    if rubric.values or isinstance(said, bool) or not isinstance(said, int | float):
        return None, f"{shown} is not a {'verdict' if rubric.values else 'number'}"
    if not rubric.low <= said <= rubric.high:
        return None, f"{shown} is outside {rubric.low:g} to {rubric.high:g}"
    return float(said), None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = {json_key(key): value for key, value in pairs}
    if len(fields) < len(pairs):
        raise ValueError("a key stands in it twice")
    return fields


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is no number")


# Without these hooks the last of two equal keys would win, and NaN would be a number.
_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_refuse)
