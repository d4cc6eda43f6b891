"""Rewrites the numbers of a text so that math-verify reads them whole."""

import re
import unicodedata
from decimal import Decimal
from fractions import Fraction

SIGN = re.compile(r"[\u2212\ufe63\uff0d]|(?:(?<=\d)|(?<![\w)]))[\u2010-\u2013](?=[\d.])")
"""A minus sign, or a hyphen or dash in its place. A sign before a space may be a bullet."""
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


def plain_numbers(text: str, *, scales: bool = True) -> str:
    """Return a text with its numbers as math-verify reads them whole: ASCII digits and signs, fractions, no words.

    Without `scales` the word after a number, as in 5 million, stays.
    """
    digits = "".join(str(unicodedata.decimal(c)) if c.isdecimal() and not c.isascii() else c for c in text)
    plain = PLACES.sub("", SIGN.sub("-", digits))
    plain = MIXED.sub(_mixed, plain)
    plain = VULGAR.sub(lambda m: str(_fraction(m[0])), plain)
    plain = RAISED.sub(lambda m: "^" + unicodedata.normalize("NFKC", m[0]), plain)
    if scales:
        plain = SCALED.sub(lambda m: f"{Decimal(m[1].replace(',', '')).scaleb(SCALES[m[2].lower()]):f}", plain)
    return POWER.sub(lambda m: f"{Decimal(m[0]):f}", plain)  # Decimal keeps every digit as written


def _mixed(found: re.Match[str]) -> str:
    """Return 3 1/2 as one fraction. Two numbers such as 12 31/12 stay."""
    top, _, bottom = unicodedata.normalize("NFKC", found[2]).replace("\u2044", "/").partition("/")
    return f"{int(found[1]) * int(bottom) + int(top)}/{bottom}" if int(top) < int(bottom) else found[0]


def _fraction(written: str) -> Fraction:
    return Fraction(unicodedata.normalize("NFKC", written).replace("\u2044", "/"))
