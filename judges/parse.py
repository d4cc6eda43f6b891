"""Finds the verdict in a judge's reply, or says why there is none.

Only the reply is looked at, never the prompt, so an answer that says "Score: 5" scores nothing. The last verdict
counts: an earlier one may be a quotation.
"""

import json
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from judges.rubric import Rubric, json_key

PARSER_VERSION = 2
"""Part of every judge's fingerprint; raised whenever a reply may be read differently."""

THINKING = re.compile(r"<(think(?:ing)?|reasoning)>.*?</\1>", re.DOTALL | re.IGNORECASE)
OPEN_THINKING = re.compile(r"<(?:think(?:ing)?|reasoning)>", re.IGNORECASE)
CLOSED_THINKING = re.compile(r"^.*</(?:think(?:ing)?|reasoning)>", re.DOTALL | re.IGNORECASE)
FENCED = re.compile(r"^\s*```(?:json)?\s*\n(.*)\n\s*```\s*$", re.DOTALL | re.IGNORECASE)
FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
"""Characters that no one sees: a digit before one and a digit after it are one number."""

SPOKEN = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
}  # fmt: skip
SEPARATOR = r"""[\s"'*_`]*(?:[:=-]|\bis\b)[\s"'*_`<(\[{$]*(?:\\(?:boxed|text|mathbf)\{)?\s*"""
HAN = "零〇一二三四五六七八九十"
NUMBER = rf"[-+]?\d+(?:[.,]\d+)?|(?:{'|'.join(SPOKEN)})\b|[{HAN}](?![{HAN}])"
NOT_WHOLE = r"(?![\d%²³¹⁰⁴-⁹½¼¾⅓⅔⁄])"  # what follows would make it another number
SCALE = r"(?:[*_`\s\])]*(?:/|out\s+of|of)\s*(?P<scale>\d+(?:\.\d+)?))?"
MORE = rf"(?P<more>[*_`\s]*(?:[-–—~]|\.\.+|to\b|or\b|and\b|/)\s*(?:{NUMBER}))?"
WORD_MORE = (
    r"(?P<more>[*_`\s]*(?:\bor\b|\band\b|/|,)\s*(?:answer|response|assistant|judge?ment)?[\s_]*(?:{words})(?![\w<>=]))?"
)


@dataclass(frozen=True)
class Verdict:
    """What one reply says, or the reason why it says nothing."""

    value: float | None
    error: str | None = None
    criteria: dict[str, float] | None = None


def parse_reply(reply: str, rubric: Rubric, *, structured: bool = False) -> Verdict:
    """Return the verdict that `reply` gives on `rubric`; any text whatever gives a score on its scale or a reason."""
    text = _readable(reply)
    if text is None:
        return Verdict(None, "the reply stops inside its reasoning")
    found: dict[str, float] = {}
    fields = _json_fields(text, rubric) if structured else None
    if isinstance(fields, str):
        return Verdict(None, fields)
    for label in rubric.labels:
        value, error = _from_json(fields[json_key(label)], rubric) if fields else _from_text(text, label, rubric)
        if value is None:
            return Verdict(None, f"{label}: {error}" if rubric.criteria else error)
        found[label] = value
    return Verdict(rubric.weighted(found), None, found if rubric.criteria else None)


def _from_text(text: str, label: str, rubric: Rubric) -> tuple[float | None, str | None]:
    pattern = _own_pattern(rubric.pattern) if rubric.pattern else _label_pattern(label, tuple(rubric.values))
    matches = list(pattern.finditer(text))
    if not matches:
        return None, "no verdict in the reply"
    if rubric.criteria and len(matches) > 1:
        return None, f"{len(matches)} verdicts in the reply, where there must be one"
    last = matches[-1]
    groups = last.groupdict()
    said = groups["verdict"]
    if groups.get("more"):
        return None, f"contradictory: {_shown(last[0])}"
    on_last_line = {_key(m["verdict"]) for m in matches if "\n" not in text[m.start() : last.start()]}
    if len(on_last_line) > 1:
        return None, f"contradictory: {' and '.join(sorted(on_last_line))} in one line"
    if rubric.values:
        return _word_value(said, rubric)
    if groups.get("scale") and float(groups["scale"]) != rubric.high:
        return None, f"another scale than {rubric.low:g} to {rubric.high:g}: {_shown(last[0])}"
    return _on_scale(_number(said), rubric)


def _from_json(said: object, rubric: Rubric) -> tuple[float | None, str | None]:
    if rubric.values:
        return _word_value(said, rubric) if isinstance(said, str) else (None, f"{said!r} is not a verdict")
    if isinstance(said, bool) or not isinstance(said, int | float):
        return None, f"{said!r} is not a number"
    return _on_scale(float(said), rubric)


def _json_fields(text: str, rubric: Rubric) -> dict[str, Any] | str:
    """Return the fields of a reply that must be one JSON object of the rubric's schema, or what is wrong with it."""
    fenced = FENCED.match(text)
    try:
        fields = json.loads(fenced[1] if fenced else text, object_pairs_hook=_once, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        return f"not one JSON object: {error}"[:200]
    if not isinstance(fields, dict):
        return f"not one JSON object: {type(fields).__name__}"
    expected = rubric.schema["properties"].keys()
    if fields.keys() != expected:
        return f"the JSON object has the keys {sorted(fields)}, not {sorted(expected)}"[:200]
    return fields


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a key stands in it twice")
    return fields


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _word_value(said: str, rubric: Rubric) -> tuple[float | None, str | None]:
    known = {_key(word): value for word, value in rubric.values.items()}
    value = known.get(_key(said))
    return (value, None) if value is not None else (None, f"{said!r} is none of {', '.join(rubric.values)}")


def _on_scale(value: float | None, rubric: Rubric) -> tuple[float | None, str | None]:
    if value is None:
        return None, "no verdict in the reply"
    if not rubric.low <= value <= rubric.high:
        return None, f"{value:g} is outside {rubric.low:g} to {rubric.high:g}"
    return value, None


def _number(said: str) -> float | None:
    if said.lower() in SPOKEN:
        return float(SPOKEN[said.lower()])
    try:
        return float(said.replace(",", "."))
    except ValueError:
        return unicodedata.numeric(said, None) if len(said) == 1 else None


def _key(word: str) -> str:
    return re.sub(r"[\s_]+", " ", word).strip().lower()


def _shown(text: str) -> str:
    return repr(" ".join(text.split())[:80])


@lru_cache(maxsize=64)
def _label_pattern(label: str, words: tuple[str, ...]) -> re.Pattern[str]:
    before = rf"(?<![^\W_]){_spaced(label)}(?![^\W_]){SEPARATOR}"
    if not words:
        return re.compile(rf"{before}(?P<verdict>{NUMBER}){NOT_WHOLE}{SCALE}{MORE}", re.IGNORECASE)
    either = "|".join(_spaced(word) for word in sorted(words, key=len, reverse=True))
    after = rf"(?![^\W_]|[<>=]){WORD_MORE.replace('{words}', either)}"
    return re.compile(
        rf"{before}(?:(?:answer|response|assistant|judge?ment)[\s_]+)?(?P<verdict>{either}){after}", re.IGNORECASE
    )


@lru_cache(maxsize=64)
def _own_pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _spaced(words: str) -> str:
    return r"[\s_]+".join(re.escape(word) for word in re.split(r"[\s_]+", words.strip()))


def _readable(reply: str) -> str | None:
    """Return the reply after its reasoning, without invisible and full-width forms; None where it never ends."""
    text = INVISIBLE.sub("", reply.translate(FULL_WIDTH))
    text = CLOSED_THINKING.sub("", THINKING.sub("", text))
    return None if OPEN_THINKING.search(text) else text
