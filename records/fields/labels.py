"""What a label on two answers says: which side is better, or that they tie; anything else is no label."""

import re
from collections.abc import Iterable, Mapping

from console.errors import InputError
from records.fields.values import number_in
from records.rows import Winner

Codes = Mapping[str, Winner]

ANSWERS = ("", "model_", "response_", "output_", "answer_", "assistant_", "option_", "completion_", "candidate_")
"""What stands before a side's letter or number."""
SIDES: tuple[tuple[Winner, str, tuple[str, ...]], ...] = (
    ("a", "a1", ("first", "left", "a>b", "a>>b", "b<a", "b<<a", "[[a]]", "[[a>b]]", "[[a>>b]]")),
    ("b", "b2", ("second", "right", "b>a", "b>>a", "a<b", "a<<b", "[[b]]", "[[b>a]]", "[[b>>a]]")),
)
TIES = (
    "tie", "0", "1.5", "draw", "a=b", "b=a", "[[c]]", "[[a=b]]", "[[b=a]]", "both", "equal", "same", "both_bad",
    "bothbad", "both_good", "tie_(inconsistent)", "tie_(bothbad)", "tie_(both_bad)",
)  # fmt: skip
CODES: dict[str, Winner] = {
    **{f"{name}{sign}": side for side, signs, _ in SIDES for name in ANSWERS for sign in signs},
    **{f"{name.rstrip('_')}{sign}": side for side, signs, _ in SIDES for name in ANSWERS for sign in signs[1:]},
    **{word: side for side, _, words in SIDES for word in words},
    **dict.fromkeys(TIES, "tie"),
}
"""What a cell means. 1, 2 and 0 are as in PandaLM and AlpacaEval 1; where 0 is the first answer give --codes."""
WORDS: dict[str, Winner] = {cell: side for cell, side in CODES.items() if not cell.replace(".", "").isdecimal()}
"""What a cell means where numbers mean something else."""
ZERO_FIRST: dict[str, Winner] = {"0": "a", "1": "b", "2": "tie"}
"""Auto-J's codes."""
ONE_OR_ZERO: dict[str, Winner] = {"1": "a", "0": "b"}
"""SHP's codes: 1 where the first answer is the better one."""
SIGNS = re.compile(r"\s*([<>=]+)\s*")
GAPS = re.compile(r"[\s-]+")


def parse_codes(text: str, flag: str = "--codes") -> dict[str, Winner]:
    """Return the meanings in a flag like `0=a,1=b,2=tie`; raises InputError where it is of another form."""
    meanings: dict[str, Winner] = {}
    for part in text.split(","):
        cell, _, meaning = part.strip().rpartition("=")
        if not cell or meaning not in ("a", "b", "tie"):
            raise InputError(f"{flag} must be like 0=a,1=b,2=tie, not {text!r}")
        meanings[cell.lower()] = meaning  # type: ignore[assignment]
    return meanings


def given_codes(text: str | None, flag: str = "--codes") -> dict[str, Winner] | None:
    """Return what a flag says that labels mean, or None where it is not given; raises InputError as `parse_codes`."""
    return None if text is None else parse_codes(text, flag)


def key_of(label: object) -> str:
    """Return a label as a code: text in lower case, a whole number without its point."""
    number = number_in(label)
    return str(int(number)) if number is not None and number.is_integer() else str(label).strip().lower()


def meaning_of(label: object, codes: Codes) -> Winner | None:
    """Return what `codes` say of a label, however it is spaced, or None where they do not know it."""
    key = key_of(label)
    return codes[key] if key in codes else codes.get(GAPS.sub("_", SIGNS.sub(r"\1", key)))


def winner_in(label: object, codes: Codes | None = None) -> Winner | None:
    """Return the side that a label names, `tie`, or None where it is no label.

    Without `codes` it has the usual meanings, and a number between 1 and 2 is AlpacaEval's preference: 1 is the first
    answer, 2 the second.
    """
    if label is None or isinstance(label, bool):
        return None
    if (winner := meaning_of(label, CODES if codes is None else codes)) is not None:
        return winner
    number = number_in(label)
    if codes is None and number is not None and 1 < number < 2:
        return "a" if number < 1.5 else "b"
    return None


def side_of(label: object, codes: Codes | None = None, name: str = "label") -> Winner:
    """Return the side that a label names, or `tie`; raises InputError where it is neither."""
    winner = winner_in(label, codes)
    if winner is None:
        shown = repr(label) if len(repr(label)) < 60 else type(label).__name__
        known = "1, 2, a, b or tie, or say with --codes what it means" if codes is None else ", ".join(codes)
        raise InputError(f"'{name}' is {shown}, which is no label: expected {known}")
    return winner


def majority_of(labels: Iterable[Winner]) -> Winner:
    """Return the label that most give; where no one label has the most votes it is a tie."""
    given = list(labels)
    counts: dict[Winner, int] = {side: given.count(side) for side in ("a", "b", "tie")}
    most = [side for side, n in counts.items() if n == max(counts.values())]
    return most[0] if len(most) == 1 else "tie"


class Scale:
    """The numbers that a file has as labels: whether they can be read without being told what they mean."""

    def __init__(self) -> None:
        self._numbers: set[float] = set()

    def add(self, labels: Iterable[object]) -> None:
        """Take the labels of one record."""
        found = (number_in(label) for label in labels)
        self._numbers.update(number for number in found if number is not None)

    def check(self, source: object, flag: str = "--codes") -> None:
        """Raise InputError, naming `flag`, where the numbers are of a scale that is not known, or may mean either side.

        Known are 1, 2 and what lies between, and 0 for a tie beside them: 0 and 1 alone can mean either side, and
        beside -1, 0.5 or 3 no number means what it means in PandaLM and AlpacaEval.
        """
        numbers = self._numbers
        known = {number for number in numbers if number == 0 or 1 <= number <= 2}
        if known and numbers - known:
            low, high = min(numbers), max(numbers)
            raise InputError(
                f"{source}: the labels are numbers from {low:g} to {high:g}, and what they mean is not known; say it "
                f"of each, as in {flag} {low:g}=a,{high:g}=b"
            )
        if numbers == {0, 1}:
            raise InputError(
                f"{source}: all labels are 0 or 1, and whether 1 is the first answer or the second cannot be told; say "
                f"it with {flag} 0=a,1=b or {flag} 1=a,0=b, or {flag} 1=a,0=tie"
            )


def check_zero_one(labels: Iterable[object], source: object) -> None:
    """Raise InputError where all labels are 0 or 1 and both are there: which answer is 1 cannot be told."""
    scale = Scale()
    for label in labels:
        if key_of(label) not in ("0", "1"):
            return
        scale.add([label])
    scale.check(source)
