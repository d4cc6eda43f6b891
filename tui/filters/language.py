"""The filter line as text: `winner:a flipped:yes margin<1 iter:3 judge!=human len>500 broken:lowercase "sql"`.

Terms are joined by AND, values with a comma between them by OR, and a minus turns a term round. A word without a field
is looked for in the texts, and so is what stands in quotes.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from console.errors import InputError
from tui.filters.fields import BY_NAME, FIELDS, Field, View
from tui.reading.kinds import KINDS

TERM = re.compile(r"""(?P<minus>-?)(?P<name>[A-Za-zΔ_]+)(?P<sign>!=|<=|>=|[:=<>])(?P<value>"[^"]*"?|[^\s"]*)$""")
TOKEN = re.compile(r"""(?:[^\s"]*"[^"]*"?|[^\s"]+)""")
EMPTY = ("none", "no", '""')
ANY = ("yes", "any", "*")


@dataclass(frozen=True)
class Text:
    """A text that must stand in the prompt or an answer, or must not."""

    wanted: str
    without: bool = False


@dataclass(frozen=True)
class Term:
    """A test of one field."""

    field: Field
    sign: str
    values: tuple[str, ...]
    without: bool = False


@dataclass(frozen=True)
class Filter:
    """A filter that was understood."""

    terms: tuple[Term, ...] = ()
    texts: tuple[Text, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.terms or self.texts)

    def mask(self, view: View) -> np.ndarray:
        """Return which rows pass the terms. The texts are looked for apart, because that takes reading the file."""
        passed: np.ndarray = view.rows["replaced"] == 0
        for term in self.terms:
            passed &= _passes(term, view) ^ term.without
        return passed


def parse_filter(line: str) -> Filter:
    """Return the filter of a line. Raises InputError that says what is wrong and what is possible."""
    terms: list[Term] = []
    texts: list[Text] = []
    for token in TOKEN.findall(line):
        match = TERM.match(token)
        if match is None or (match["name"] not in BY_NAME and _is_text(match)):
            without = token.startswith("-") and len(token) > 1
            text = token[without:].strip('"')
            texts += [Text(text, without)] if text else []
            continue
        terms.append(_term(match))
    return Filter(tuple(terms), tuple(texts))


def _is_text(match: re.Match[str]) -> bool:
    """Return whether what looks like a term is an address, such as `https://`, which is a text."""
    return match["value"].startswith("//")


def _term(match: re.Match[str]) -> Term:
    name, sign, value = match["name"], match["sign"], match["value"].strip('"')
    field = BY_NAME.get(name)
    if field is None:
        nearest = get_close_matches(name, BY_NAME, n=1, cutoff=0.6)
        hint = f"did you mean {nearest[0]}?" if nearest else f"there are {', '.join(f.name for f in FIELDS)}"
        raise InputError(f"no field '{name}' (in quotes it is a text to look for): {hint}")
    if not value:
        raise InputError(f"{name}{sign}: a value is missing: {possible(field)}")
    values = tuple(part for part in value.split(",") if part)
    _check(field, name, sign, values)
    return Term(field, "=" if sign == ":" else sign, values, bool(match["minus"]))


def _check(field: Field, name: str, sign: str, values: tuple[str, ...]) -> None:
    other = values[0] if len(values) == 1 else ""
    if {field.name, other} in ({"judge", "human"}, {"winner", "human"}) and sign in (":", "=", "!="):
        return
    if sign in ("<", "<=", ">", ">=") and field.kind != "number":
        raise InputError(f"{name}{sign}{','.join(values)}: {name} is no number: {possible(field)}")
    for value in values:
        if field.kind == "number" and value not in EMPTY + ANY and _as_number(value) is None:
            raise InputError(f"{name}{sign}{value}: '{value}' is no number: {possible(field)}")
        if field.kind == "choice" and value not in field.choices:
            raise InputError(f"{name}{sign}{value}: {possible(field)}")


def possible(field: Field) -> str:
    """Return in words what can be asked of a field."""
    if field.kind == "choice":
        return f"{field.name}: can be {', '.join(field.choices)}"
    if field.kind == "number":
        return f"{field.name} takes a number: {field.name}<1, {field.name}>=2, {field.name}:3, or {field.name}:none"
    return f"{field.name}: takes a part of the word, none, or any"


def _passes(term: Term, view: View) -> np.ndarray:
    other = term.values[0] if len(term.values) == 1 else ""
    if {term.field.name, other} in ({"judge", "human"}, {"winner", "human"}):
        wanted = 2 if term.sign == "=" else 1
        return np.asarray(view.tally.agrees(view.rows) == wanted)
    passed = np.zeros(len(view.rows), dtype=bool)
    test = _TESTS[term.field.kind]
    for value in term.values:
        passed |= test(term.field, term.sign if term.sign != "!=" else "=", value, view)
    return ~passed if term.sign == "!=" else passed


def _by_choice(field: Field, sign: str, value: str, view: View) -> np.ndarray:
    return np.asarray(field.values(view) == field.choices.index(value))


def _by_number(field: Field, sign: str, value: str, view: View) -> np.ndarray:
    numbers = field.values(view)
    if value in EMPTY:
        return np.asarray(np.isnan(numbers))
    if value in ANY:
        return np.asarray(~np.isnan(numbers))
    number = _as_number(value)
    constant = numbers.dtype.type(number)  # in the column's own precision: 0.1 is another number in 4 bytes
    with np.errstate(invalid="ignore"):
        return np.asarray(_SIGNS[sign](numbers, constant))


def _by_word(field: Field, sign: str, value: str, view: View) -> np.ndarray:
    if field.name == "file":
        hits = [value.casefold() in str(file.path).casefold() for file in view.table.files]
        return np.asarray(np.array([*hits, False], dtype=bool)[view.rows["source"]])
    words = view.table.words.words
    if value in EMPTY + ANY:
        hits = [bool(word) == (value in ANY) for word in words]
    else:
        hits = [value.casefold() in word.casefold() for word in words]
    is_hit = np.array(hits, dtype=bool)
    passed = np.zeros(len(view.rows), dtype=bool)
    for column in field.columns:
        passed |= is_hit[view.rows[column]]
    return passed


def _as_number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if np.isfinite(number) else None


_SIGNS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "=": np.equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}
_TESTS = {"choice": _by_choice, "number": _by_number, "word": _by_word}
KIND_FIELD = BY_NAME["kind"]


def of_kind(kind: str) -> Filter:
    """Return the filter that a view of one kind of row has anyway."""
    return Filter((Term(KIND_FIELD, "=", (kind,)),)) if kind in KINDS else Filter()
