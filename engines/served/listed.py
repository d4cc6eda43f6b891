"""Finds out how many tokens a server lists with their log-probabilities at most, from how it refuses more."""

import re
from typing import Any

from engines.served.parameters import errors_of

REFUSING = {400, 403, 413, 422, 501}
NAMES = ("top_logprobs", "logprobs")
ABOUT = re.compile(r"log[-_ ]?prob", re.IGNORECASE)
LIMITING = re.compile(
    r"""less | lower | smaller | fewer | greater | larger | higher | above | below | under | more\ than | most\b | max
    | exceed | limit | range | between | from | up\ to | only | high | large | big | many
    | must\ be | should\ be | [<>≤]""",
    re.IGNORECASE | re.VERBOSE,
)
NUMBER = re.compile(r"(?<![\w.])(?<![A-Za-z]-)\d{1,3}(?![\w%])(?!\.\d)")
BELOW = re.compile(
    r"(?:(?:less|lower|smaller|fewer)\ than|below|under|<)\s*(\d{1,3})(?![\d.])|[\[(]\s*[01]\s*,\s*(\d{1,3})\s*\)",
    re.IGNORECASE,
)
"""A number that is itself too many."""

LOWEST = re.compile(r"(?<![\w.])[01](?=\s*(?:,|and\b|to\b|-|–)\s*\d)", re.IGNORECASE)
"""The lower end of a range."""


def most_listed(status: int | None, data: bytes, sent: Any) -> int | None:
    """Return the number of tokens that may be listed, as a failed reply names it, or None without one below `sent`.

    `data` is the reply's body, in whatever form.
    """
    if status not in REFUSING or not isinstance(sent, int):
        return None
    for message, params in errors_of(data):
        if (set(NAMES) & set(params) if params else ABOUT.search(message)) and LIMITING.search(message):
            most = _most(message, sent)
            if most is not None:
                return most
    return None


def refuses_number(status: int | None, data: bytes) -> bool:
    """Return whether a failed reply says that so many tokens are not listed, without a number that can be read."""
    if status not in REFUSING:
        return False
    return any(set(NAMES) & set(params) or (not params and "top_logprobs" in text) for text, params in errors_of(data))


def _most(message: str, sent: int) -> int | None:
    """Return the one number in a message that can be the limit, or None if there is none or several."""
    too_many = {int(numbers[1] or numbers[2]) for numbers in BELOW.finditer(message)}
    # Without the lower end of a range, 0 or 1, which would be a second number below the limit.
    numbers = {int(number[0]) for number in NUMBER.finditer(LOWEST.sub(" ", message))}
    # True counts as 1: "less than 20" allows 19.
    able = {most for most in (number - (number in too_many) for number in numbers) if 0 <= most < sent}
    return able.pop() if len(able) == 1 else None
