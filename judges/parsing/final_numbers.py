"""Final answers by math-verify, with what it drops or cuts put back: signs, fractions, currencies, hundredths."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from judges.cluster.clusters import components
from judges.cluster.equivalence import FloatNN

SIGN = re.compile(r"[\u2212\ufe63\uff0d]|(?:(?<=\d)|(?<![\w)]))[\u2010-\u2013](?=[\d.])")
"""A minus sign, or a hyphen or dash in its place; one that a space follows may be a bullet."""
SCALES = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12}
PLACES = re.compile(r"(?<=\d)['\u2019](?=\d{3}(?!\d))")
"""Between thousands, as in 1'000."""
MIXED = re.compile(
    r"(?<![\w.,/])(\d{1,3})(?:\s+|\s*(?=[\u00bc-\u00be\u2150-\u215e]))(\d+[/\u2044]\d+|[\u00bc-\u00be\u2150-\u215e])(?![\d/])"
)
VULGAR = re.compile(r"[\u00bc-\u00be\u2150-\u215e]")
RAISED = re.compile(r"(?<=[\w)])[\u00b2\u00b3\u00b9\u2070\u2074-\u2079]+")
POWER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?[eE][+-]?\d{1,2}(?!\w)")
SCALED = re.compile(rf"(?<![\w.])(\d[\d,]*(?:\.\d+)?)\s+({'|'.join(SCALES)})\b", re.IGNORECASE)
WHOLE = re.compile(r"\d+(?::\d+)+|\d+\s*(?:r|rem\.?|remainder)\s*\d+", re.IGNORECASE)
"""A time, a ratio, a quotient with its remainder: math-verify takes the first or the last number of it."""
MONEY = {
    "$": "$",
    "usd": "$",
    "dollar": "$",
    "\u20ac": "\u20ac",
    "eur": "\u20ac",
    "euro": "\u20ac",
    "\u00a3": "\u00a3",
    "gbp": "\u00a3",
}
BEFORE = re.compile(r"(\$|\u20ac|\u00a3|\b(?:usd|eur|gbp))\s*$", re.IGNORECASE)
AFTER = re.compile(r"\s*(?:\\text\{\s*)?(\u20ac|\u00a3|(?:usd|eur|gbp|dollar|euro)(?=s?\b))", re.IGNORECASE)
CENTS = re.compile(r"\s*(?:\\text\{\s*)?(?:\u00a2|cents?\b)", re.IGNORECASE)
PERCENT = re.compile(r"\s*\\%")
"""Outside of LaTeX's dollars math-verify does not see it."""
HUNDREDTH = "(1/100)"
"""Of a percentage's expression, which `verify` takes for the number without the hundredth too."""


@dataclass(frozen=True)
class Reading:
    """The final answer of a text."""

    value: list[Any]
    """What `math_verify.verify` takes; empty where nothing could be read."""
    money: str = ""
    """The sign of its currency, where it has one."""
    face: list[Any] | None = None
    """Of a percentage or of cents the number without the hundredth: of 50% it is 50."""


def reading_of(text: str) -> Reading:
    """Return the final answer of a text."""
    from math_verify import parse

    plain = plain_numbers(text)
    found = parse(plain)
    if not found or not isinstance(found[-1], str):
        return Reading(found)
    written = _place_of(found[-1], plain)
    if HUNDREDTH in str(found[0]):
        return Reading([found[0].doit()], face=parse(found[-1].rstrip("%\\ ")))
    if written is None or not getattr(found[0], "is_number", False):
        return Reading(found)
    start, end = written
    whole = next((one for one in WHOLE.finditer(plain) if one.start() <= start and end <= one.end()), None)
    if whole is not None:
        return Reading([re.sub(r"\s+|em\w*\.?", "", whole.group().lower())])
    if PERCENT.match(plain, end):
        return Reading([found[0] / 100], face=found)
    if CENTS.match(plain, end):
        return Reading([found[0] / 100], "$", found)
    return Reading(found, _money(plain, start, end))


def plain_numbers(text: str, *, scales: bool = True) -> str:
    """Return a text with its numbers as math-verify reads them whole: ASCII digits and signs, fractions, no words.

    Without `scales` the word after a number, as in 5 million, stays.
    """
    digits = "".join(str(unicodedata.decimal(c)) if c.isdecimal() and not c.isascii() else c for c in text)
    found = PLACES.sub("", SIGN.sub("-", digits))
    found = MIXED.sub(_mixed, found)
    found = VULGAR.sub(lambda m: str(_fraction(m[0])), found)
    found = RAISED.sub(lambda m: "^" + unicodedata.normalize("NFKC", m[0]), found)
    if scales:
        found = SCALED.sub(lambda m: f"{Decimal(m[1].replace(',', '')).scaleb(SCALES[m[2].lower()]):f}", found)
    return POWER.sub(lambda m: f"{Decimal(m[0]):f}", found)


def same_values(readings: Sequence[Reading], same: Callable[[list[Any], list[Any]], bool]) -> FloatNN:
    """Return which final answers are the same, 1 or 0, (N, N), so that none links two others that differ.

    A number without a unit is the same as the one with a currency if there is one such currency here. A percentage is
    its hundredth, 50% is 0.5; where no answer is that, it is what stands before the sign, 50, as are cents.
    """
    n = len(readings)
    exact_NN = np.eye(n, dtype=bool)
    for i, one in enumerate(readings):
        for j, other in enumerate(readings[:i]):
            exact_NN[i, j] = exact_NN[j, i] = one.money == other.money and same(one.value, other.value)
    classes = components(exact_NN)
    for bare in [own for own in classes if not readings[own[0]].money]:
        priced = [own for own in classes if readings[own[0]].money and _meet(own, bare, readings, same)]
        if len(priced) == 1:
            _join(classes, bare, priced[0])
    for own in [own for own in classes if all(readings[place].face for place in own)]:
        face = readings[own[0]].face or []
        plain = [
            other
            for other in classes
            if not any(readings[place].money or readings[place].face for place in other)
            and any(same(face, readings[place].value) for place in other)
        ]
        if len(plain) == 1:
            _join(classes, plain[0], own)
    values_NN = np.eye(n)
    for places in classes:
        values_NN[np.ix_(places, places)] = 1
    return values_NN


def _meet(
    own: list[int], other: list[int], readings: Sequence[Reading], same: Callable[[list[Any], list[Any]], bool]
) -> bool:
    return any(same(readings[i].value, readings[j].value) for i in own for j in other)


def _join(classes: list[list[int]], into: list[int], other: list[int]) -> None:
    classes.remove(other)
    into += other


def _mixed(found: re.Match[str]) -> str:
    """Return 3 1/2 as one fraction; 12 31/12, a number and another, stays."""
    top, _, bottom = unicodedata.normalize("NFKC", found[2]).replace("\u2044", "/").partition("/")
    return f"{int(found[1]) * int(bottom) + int(top)}/{bottom}" if int(top) < int(bottom) else found[0]


def _fraction(written: str) -> Fraction:
    return Fraction(unicodedata.normalize("NFKC", written).replace("\u2044", "/"))


def _place_of(written: str, text: str) -> tuple[int, int] | None:
    """Return where a number stands last in a text, in which it may have commas between its thousands."""
    pattern = ",?".join("[.,]" if c == "." else re.escape(c) for c in written)
    places = [found.span() for found in re.finditer(rf"(?<!\d){pattern}(?!\d)", text)]
    return places[-1] if places else None


def _money(text: str, start: int, end: int) -> str:
    """Return the sign of a number's currency; a dollar on both sides of it is LaTeX's."""
    before, after = BEFORE.search(text, 0, start), AFTER.match(text, end)
    if before and before[1] == "$" and text[end : end + 1] == "$":
        before = None
    word = before[1] if before else after[1] if after else ""
    return MONEY.get(word.lower(), "")
