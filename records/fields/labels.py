"""Reads a label on two answers: the better side, or a tie. Anything else is no label."""

import re
from collections.abc import Iterable, Mapping

from console.errors import InputError
from records.fields.values import number_in
from records.rows import Winner

Codes = Mapping[str, Winner]
SHOWN = 4

ANSWERS = ("", "model_", "response_", "output_", "answer_", "assistant_", "option_", "completion_", "candidate_")
"""Prefixes of a side's letter or number."""
SIDES: tuple[tuple[Winner, str, tuple[str, ...]], ...] = (
    ("a", "a1", ("first", "left", "a>b", "a>>b", "b<a", "b<<a", "[[a]]", "[[a>b]]", "[[a>>b]]")),
    ("b", "b2", ("second", "right", "b>a", "b>>a", "a<b", "a<<b", "[[b]]", "[[b>a]]", "[[b>>a]]")),
)
TIES = (
    "tie", "0", "1.5", "draw", "a=b", "b=a", "[[c]]", "[[a=b]]", "[[b=a]]", "both", "equal", "same", "both_bad",
    "bothbad", "both_good", "tie_(inconsistent)", "tie_(bothbad)", "tie_(both_bad)", "tied", "equally_good",
    "equally_bad", "no_preference",
)  # fmt: skip
CODES: dict[str, Winner] = {
    **{f"{name}{sign}": side for side, signs, _ in SIDES for name in ANSWERS for sign in signs},
    # Without the underscore only the number: people write `model1`, and `modela` may be a word.
    **{f"{name.rstrip('_')}{sign}": side for side, signs, _ in SIDES for name in ANSWERS for sign in signs[1:]},
    **{word: side for side, _, words in SIDES for word in words},
    **dict.fromkeys(TIES, "tie"),
}
"""The meaning of a cell. 1, 2 and 0 are as in PandaLM and AlpacaEval 1. If 0 is the first answer, give --codes."""
WORDS: dict[str, Winner] = {cell: side for cell, side in CODES.items() if not cell.replace(".", "").isdecimal()}
"""The meaning of a cell if numbers mean something else."""
ZERO_FIRST: dict[str, Winner] = {"0": "a", "1": "b", "2": "tie"}
"""Auto-J's codes."""
ONE_OR_ZERO: dict[str, Winner] = {"1": "a", "0": "b"}
"""SHP's codes: 1 means that the first answer is the better one."""
ZEROTH = {f"{word}0" for name in ANSWERS if name for word in (name, name.rstrip("_"))}
"""Words for the first answer if answers count from 0. Beside them `response_1` is the second."""
SIGNS = re.compile(r"\s*([<>=]+)\s*")
GAPS = re.compile(r"[\s-]+")


def parse_codes(text: str, flag: str = "--codes") -> dict[str, Winner]:
    """Return the meanings in a flag like `0=a,1=b,2=tie`. Raises InputError if it is of another form."""
    meanings: dict[str, Winner] = {}
    for part in text.split(","):
        cell, _, meaning = part.strip().rpartition("=")
        if not cell or meaning not in ("a", "b", "tie"):
            raise InputError(f"{flag} must be like 0=a,1=b,2=tie, not {text!r}")
        meanings[cell.lower()] = meaning  # type: ignore[assignment]
    return meanings


def given_codes(text: str | None, flag: str = "--codes") -> dict[str, Winner] | None:
    """Return the meanings of labels in a flag, or None if it is not given. Raises InputError as `parse_codes`."""
    return None if text is None else parse_codes(text, flag)


def key_of(label: object) -> str:
    """Return a label as a code: text in lower case, a whole number without its point."""
    number = number_in(label)
    return str(int(number)) if number is not None and number.is_integer() else str(label).strip().lower()


def meaning_of(label: object, codes: Codes) -> Winner | None:
    """Return the meaning of a label in `codes`, however it is spaced, or None if it has none."""
    key = key_of(label)
    # As it stands first: --codes may give a cell with spaces in it.
    return codes[key] if key in codes else codes.get(GAPS.sub("_", SIGNS.sub(r"\1", key)))


def winner_in(label: object, codes: Codes | None = None) -> Winner | None:
    """Return the side that a label names, `tie`, or None if it is no label.

    Without `codes` it has the usual meanings, and a number between 1 and 2 is AlpacaEval's preference: 1 is the first
    answer, 2 the second.
    """
    if label is None:
        return None
    if (winner := meaning_of(label, CODES if codes is None else codes)) is not None:
        return winner
    number = number_in(label)
    if codes is None and number is not None and 1 < number < 2:
        return "a" if number < 1.5 else "b"
    return None


def side_of(label: object, codes: Codes | None = None, name: str = "label") -> Winner:
    """Return the side that a label names, or `tie`. Raises InputError if it is neither."""
    winner = winner_in(label, codes)
    if winner is None:
        shown = repr(label) if len(repr(label)) < 60 else type(label).__name__
        known = "1, 2, a, b or tie, or say with --codes what it means" if codes is None else ", ".join(codes)
        raise InputError(f"'{name}' is {shown}, which is no label: expected {known}")
    return winner


def majority(labels: Iterable[Winner]) -> Winner:
    """Return the label with the most votes, or a tie if several labels have the most."""
    given = list(labels)
    counts: dict[Winner, int] = {side: given.count(side) for side in ("a", "b", "tie")}
    most = [side for side, n in counts.items() if n == max(counts.values())]
    return most[0] if len(most) == 1 else "tie"


def by_name(label: object, names: tuple[str, str]) -> Winner | None:
    """Return the side whose field a label names, as `response_1` does beside `response_0`, or None."""
    key = GAPS.sub("_", key_of(label))
    first, second = (GAPS.sub("_", name.lower()) for name in names)
    return "a" if key == first else "b" if key == second else None


def by_model_name(label: object, models: tuple[object, object]) -> Winner | None:
    """Return the side whose model a label names, as it is spelled or but for upper and lower case, or None."""
    if isinstance(label, bool) or not isinstance(label, str | int) or not all(isinstance(name, str) for name in models):
        return None
    for spell in (str, str.casefold):  # as it stands first: two models may differ in upper and lower case only
        named, first, second = (spell(str(name).strip()) for name in (label, *models))
        if first == second:
            return None
        if named in (first, second):
            return "a" if named == first else "b"
    return None


class Scale:
    """The codes that a file has as labels: whether they can be read without being told what they mean."""

    def __init__(self) -> None:
        self._numbers: set[float] = set()
        self._words: dict[str, Winner] = {}
        self._zeroth: str | None = None
        self._from_one = False

    def add(self, labels: Iterable[object], *, from_zero: bool = False, from_one: bool = False) -> None:
        """Add the labels of one record.

        `from_zero` means that its two answers are numbered 0 and 1, `from_one` that its format calls the first one 1.
        """
        self._from_one |= from_one
        for label in labels:
            number, key = number_in(label), key_of(label)
            if number is not None:
                self._numbers.add(number)
            elif (side := meaning_of(label, WORDS)) is not None:
                self._words[key] = side
            if (number is not None and from_zero) or GAPS.sub("_", key) in ZEROTH:
                self._zeroth = self._zeroth or key

    def check(self, source: object, flag: str = "--codes") -> None:
        """Raise InputError, naming `flag`, if the numbers are of a scale that is not known, or may mean either side.

        Known are 1, 2 and what lies between, and 0 for a tie beside them. Labels that are
        all 0 or 1 can mean either side. Beside -1, 0.5 or 3 no number means what it means in PandaLM and AlpacaEval.
        """
        numbers = self._numbers
        if self._zeroth is not None:
            raise InputError(
                f"{source}: the answers are counted from 0, and what {self._zeroth!r} means is not known; say it of "
                f"each label, as in {flag} {_first_of(self._zeroth)}=a,{_second_of(self._zeroth)}=b"
            )
        known = {number for number in numbers if number == 0 or 1 <= number <= 2}
        if known and numbers - known:
            low, high = min(numbers), max(numbers)
            raise InputError(
                f"{source}: the labels are numbers from {low:g} to {high:g}, and what they mean is not known; say it "
                f"of each, as in {flag} {low:g}=a,{high:g}=b"
            )
        # A 2 beside them would have shown that 1 is the first answer and 0 a tie.
        if numbers and numbers <= {0, 1} and not (self._from_one and numbers == {1}):
            them = " or ".join(f"{number:g}" for number in sorted(numbers))
            words = "".join(f",{word}={side}" for word, side in sorted(self._words.items())[:SHOWN])
            beside = " but words" if words else ""
            raise InputError(
                f"{source}: all labels{beside} are {them}, and whether 1 is the first answer or the second cannot be "
                f"told; say it with {flag} 0=a,1=b{words} or {flag} 1=a,0=b{words}, or {flag} 1=a,0=tie{words}, or, "
                f"if 2 is the second, {flag} 1=a,2=b,0=tie{words}"
            )


def _first_of(label: str) -> str:
    return label[:-1] + "0"


def _second_of(label: str) -> str:
    return label[:-1] + "1"
