"""Final answers by math-verify, with the parts that it drops: signs, fractions, currencies, hundredths."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from math_verify import parse
from sympy import Integer, srepr

from judges.parsing.numerals import plain_numbers

Same = Callable[[list[Any], list[Any]], bool]
"""Whether two values that math-verify parsed are the same."""
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


def same_values(answers: Sequence[FinalAnswer], same: Same) -> list[int]:
    """Return the number of each final answer's cluster, (N,), so that none links two others that differ.

    A number without a unit is the same as the one with a currency if there is one such currency here. A percentage is
    its hundredth: 50% is 0.5. If no answer is 0.5, 50% counts as 50. Cents are read likewise.
    """
    alike: dict[object, list[int]] = {}  # answers that are written alike are compared once
    for place, answer in enumerate(answers):
        # One that equals nothing, not even itself, is alone.
        alike.setdefault(_written(answer) if answer.value else place, []).append(place)
    several = [places for places in alike.values() if len(places) > 1]
    alone = [places for places in several if not same(answers[places[0]].value, answers[places[0]].value)]
    firsts = [places[0] for places in alike.values()]
    firsts = sorted([*firsts, *(place for places in alone for place in places[1:])])
    classes = _linked(firsts, answers, same)
    priced_classes = [members for members in classes if answers[members[0]].money]
    # over a new list, because _join changes `classes`
    for bare in [members for members in classes if not answers[members[0]].money]:
        priced = [members for members in priced_classes if _meet(members, bare, answers, same)]
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
    number_of = {place: number for number, places in enumerate(classes) for place in places}
    numbers = [0] * len(answers)
    for places in alike.values():
        for place in places:
            numbers[place] = number_of.get(place, number_of[places[0]])
    return numbers


def _linked(places: Sequence[int], answers: Sequence[FinalAnswer], same: Same) -> list[list[int]]:
    """Return the classes of answers that a chain of equal ones with one currency links, in the order of `places`."""
    home = {place: place for place in places}

    def root(place: int) -> int:
        while home[place] != place:
            home[place] = place = home[home[place]]
        return place

    others: list[int] = []
    known: dict[tuple[str, object], int] = {}
    for place in places:
        answer = answers[place]
        if not answer.value:
            continue
        # Whole numbers, most answers, are equal if they or their texts are: no need to ask about every two of them.
        if is_whole := isinstance(answer.value[0], Integer) and all(isinstance(v, str) for v in answer.value[1:]):
            for key in (int(answer.value[0]), *(text.strip() for text in answer.value[1:] if text.strip())):
                home[root(place)] = root(known.setdefault((answer.money, key), place))
        for other in others if is_whole else [p for p in places if p < place]:
            if answer.money == answers[other].money and same(answer.value, answers[other].value):
                home[root(place)] = root(other)
        if not is_whole:
            others.append(place)
    classes: dict[int, list[int]] = {}
    for place in places:
        classes.setdefault(root(place), []).append(place)
    return list(classes.values())


def _written(answer: FinalAnswer) -> tuple[object, ...]:
    value, face = (
        tuple(v if isinstance(v, str) else srepr(v) for v in part or ()) for part in (answer.value, answer.face)
    )
    return answer.money, value, face


def _meet(own: list[int], other: list[int], answers: Sequence[FinalAnswer], same: Same) -> bool:
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
