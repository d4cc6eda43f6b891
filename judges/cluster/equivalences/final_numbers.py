"""Final answers by math-verify, with the parts that it drops: signs, fractions, currencies, hundredths."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from math_verify import parse

from judges.cluster.clusters import components
from judges.cluster.equivalence import FloatNN
from judges.parsing.numerals import plain_numbers

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
"""The factor in the expression of a percentage. `verify` would also accept the number without it."""


@dataclass(frozen=True)
class FinalAnswer:
    """The final answer of a text."""

    value: list[Any]
    """The input of `math_verify.verify`. Empty if nothing could be read."""
    money: str = ""
    """The sign of its currency, if it has one."""
    face: list[Any] | None = None
    """The number of a percentage or of cents without the hundredth: 50 for 50%."""


def final_answer_of(text: str) -> FinalAnswer:
    """Return the final answer of a text."""
    plain = plain_numbers(text)
    parsed = parse(plain)
    # math-verify returns the expression and, if it can, the text that it is made of.
    if not parsed or not isinstance(parsed[-1], str):
        return FinalAnswer(parsed)
    written = _place_of(parsed[-1], plain)
    if HUNDREDTH in str(parsed[0]):
        return FinalAnswer([parsed[0].doit()], face=parse(parsed[-1].rstrip("%\\ ")))
    if written is None or not getattr(parsed[0], "is_number", False):
        return FinalAnswer(parsed)
    start, end = written
    whole = next((number for number in WHOLE.finditer(plain) if number.start() <= start and end <= number.end()), None)
    if whole is not None:
        # 3 remainder 2, 3 rem. 2 and 3r2 become one text
        return FinalAnswer([re.sub(r"\s+|em\w*\.?", "", whole.group().lower())])
    if PERCENT.match(plain, end):
        return FinalAnswer([parsed[0] / 100], face=parsed)
    if CENTS.match(plain, end):
        return FinalAnswer([parsed[0] / 100], "$", parsed)
    return FinalAnswer(parsed, _money(plain, start, end))


def same_values(answers: Sequence[FinalAnswer], same: Callable[[list[Any], list[Any]], bool]) -> FloatNN:
    """Return which final answers are the same, 1 or 0, (N, N), so that none links two others that differ.

    A number without a unit is the same as the one with a currency if there is one such currency here. A percentage is
    its hundredth: 50% is 0.5. If no answer is 0.5, 50% counts as 50. Cents are read likewise.
    """
    n = len(answers)
    exact_NN = np.eye(n, dtype=bool)
    for i, first in enumerate(answers):
        for j, other in enumerate(answers[:i]):
            exact_NN[i, j] = exact_NN[j, i] = first.money == other.money and same(first.value, other.value)
    classes = components(exact_NN)
    # over a new list, because _join changes `classes`
    for bare in [members for members in classes if not answers[members[0]].money]:
        priced = [members for members in classes if answers[members[0]].money and _meet(members, bare, answers, same)]
        if len(priced) == 1:
            _join(classes, bare, priced[0])
    for members in [members for members in classes if all(answers[place].face for place in members)]:
        face = answers[members[0]].face or []
        plain = [
            other
            for other in classes
            if not any(answers[place].money or answers[place].face for place in other)
            and any(same(face, answers[place].value) for place in other)
        ]
        if len(plain) == 1:
            _join(classes, plain[0], members)
    values_NN = np.eye(n)
    for places in classes:
        values_NN[np.ix_(places, places)] = 1
    return values_NN


def _meet(
    own: list[int], other: list[int], answers: Sequence[FinalAnswer], same: Callable[[list[Any], list[Any]], bool]
) -> bool:
    return any(same(answers[i].value, answers[j].value) for i in own for j in other)


def _join(classes: list[list[int]], into: list[int], other: list[int]) -> None:
    classes.remove(other)
    into += other


def _place_of(written: str, text: str) -> tuple[int, int] | None:
    """Return the last place of a number in a text, in which it may have commas between its thousands."""
    pattern = ",?".join("[.,]" if c == "." else re.escape(c) for c in written)
    places = [match.span() for match in re.finditer(rf"(?<!\d){pattern}(?!\d)", text)]
    return places[-1] if places else None


def _money(text: str, start: int, end: int) -> str:
    """Return the sign of a number's currency. Dollars on both sides are LaTeX."""
    before, after = BEFORE.search(text, 0, start), AFTER.match(text, end)
    if before and before[1] == "$" and text[end : end + 1] == "$":
        before = None
    word = before[1] if before else after[1] if after else ""
    return MONEY.get(word.lower(), "")
