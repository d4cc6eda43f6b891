"""Tells whether a constraint that a model names stands in the prompt: its numbers, its words, and a cue of its kind."""

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from console.reading import read_toml
from records.rows import Constraint

CUES = Path(__file__).parent / "cues.toml"
IN_WORDS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50,
    "hundred": 100, "thousand": 1000, "once": 1, "twice": 2, "thrice": 3, "single": 1, "both": 2, "pair": 2,
    "dozen": 12, "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8,
    "ninth": 9, "tenth": 10,
}  # fmt: skip
ANY = 1
"""`Include a quote` is one of it, and `no quote` is less than 1, so this number need not stand in the prompt."""


def why_not_in(prompt: str, constraint: Constraint) -> str | None:
    """Return what of a constraint with checked settings does not stand in the prompt, or None if all of it does."""
    text = _plain(prompt)
    kind_cues = cues().get(constraint.kind)
    if kind_cues is None:
        return "it is no kind of the table"
    if kind_cues and not _has_any(text, kind_cues):
        return "the prompt says nothing of it"
    relation = next((v for n, v in constraint.kwargs.items() if n.endswith("relation")), None)
    for name, value in constraint.kwargs.items():
        if reason := _missing(text, name, value, relation):
            return f"{name} = {value!r}: {reason}"
    return None


def cues() -> dict[str, list[str]]:
    """Return the cues of each kind that a model is asked about."""
    table: dict[str, list[str]] = _table()["cues"]
    return table


def language_names() -> dict[str, str]:
    """Return the code of each language that has a name here, by that name in small letters."""
    return {
        name.casefold(): code
        for code, spelled in _table()["languages"].items()
        for name in re.findall(r"[A-Z]\w+", spelled)
    }


def _missing(text: str, name: str, value: Any, relation: str | None) -> str | None:
    if name.endswith("relation"):
        return _other_relation(text, value)
    if name == "language":
        spelled = _table()["languages"].get(value, value)
        return None if _has_any(text, [rf"\b{spelled}\b"]) else "the prompt names no such language"
    if isinstance(value, int):
        return None if _says(text, value, relation) else "the number does not stand in the prompt"
    words = value if isinstance(value, list) else [value]
    absent = [word for word in words if _plain(word).casefold() not in text.casefold()]
    return f"{absent[0]!r} does not stand in the prompt" if absent else None


def _says(text: str, number: int, relation: str | None) -> bool:
    """Return whether a number stands in a text. `At most 5` is less than 6, and `more than 5` is at least 6."""
    # 1,200 is one number; pieces of nine digits, because int() refuses a text of thousands
    numbers = {int(digits) for digits in re.findall(r"\d{1,9}", re.sub(r"(?<=\d),(?=\d{3}\b)", "", text))}
    numbers |= {IN_WORDS[word] for word in re.findall(r"[a-z]+", text.casefold()) if word in IN_WORDS}
    if number in numbers or (number == ANY and (relation != "less than" or _has_any(text, _table()["none"][relation]))):
        return True
    return relation is not None and number - 1 in numbers and _has_any(text, _table()["beside"][relation])


def _other_relation(text: str, relation: str) -> str | None:
    """Return that the prompt has only the other relation, or None."""
    tables = _table()["relations"]
    others = [name for name, of_name in tables.items() if name != relation and _has_any(text, of_name)]
    return f"the prompt says {others[0]}" if others and not _has_any(text, tables[relation]) else None


def _has_any(text: str, patterns: Sequence[str]) -> bool:
    starts = (rf"\b{pattern}" if pattern[0].isalpha() else pattern for pattern in patterns)
    return any(re.search(pattern, text, re.IGNORECASE) for pattern in starts)


@cache
def _table() -> dict[str, Any]:
    return read_toml(CUES)


def _plain(text: str) -> str:
    """Return a text with digits and letters of full width made plain, quotes made straight, and single spaces."""
    plain = unicodedata.normalize("NFKC", text).translate(str.maketrans("‘’“”", "''\"\""))
    return " ".join(plain.split())
