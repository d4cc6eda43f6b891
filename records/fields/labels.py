"""What a label on two answers says: which side is better, or that they tie; anything else is no label."""

from collections.abc import Iterable, Mapping

from console.errors import InputError
from records.fields.values import number_in
from records.rows import Winner

Codes = Mapping[str, Winner]

CODES: dict[str, Winner] = {
    "a": "a", "1": "a", "model_a": "a", "response_a": "a", "response1": "a", "response 1": "a", "output_1": "a",
    "response_1": "a", "model_1": "a", "model1": "a", "answer_a": "a", "assistant_a": "a", "model a": "a",
    "output 1": "a",
    "first": "a", "a>b": "a", "a>>b": "a", "[[a]]": "a", "[[a>b]]": "a", "[[a>>b]]": "a",
    "b": "b", "2": "b", "model_b": "b", "response_b": "b", "response2": "b", "response 2": "b", "output_2": "b",
    "response_2": "b", "model_2": "b", "model2": "b", "answer_b": "b", "assistant_b": "b", "model b": "b",
    "output 2": "b",
    "second": "b", "b>a": "b", "b>>a": "b", "[[b]]": "b", "[[b>a]]": "b", "[[b>>a]]": "b",
    "tie": "tie", "0": "tie", "1.5": "tie", "draw": "tie", "a=b": "tie", "[[c]]": "tie", "[[a=b]]": "tie",
    "both": "tie", "equal": "tie", "tie (inconsistent)": "tie", "tie (bothbad)": "tie", "bothbad": "tie",
}  # fmt: skip
"""What a cell means. 1, 2 and 0 are as in PandaLM and AlpacaEval 1; where 0 is the first answer give --codes."""
WORDS: dict[str, Winner] = {cell: side for cell, side in CODES.items() if not cell.replace(".", "").isdecimal()}
"""What a cell means where numbers mean something else."""
ZERO_FIRST: dict[str, Winner] = {"0": "a", "1": "b", "2": "tie"}
"""Auto-J's codes."""
ONE_OR_ZERO: dict[str, Winner] = {"1": "a", "0": "b"}
"""SHP's codes: 1 where the first answer is the better one."""


def parse_codes(text: str) -> dict[str, Winner]:
    """Return the meanings in a flag like `0=a,1=b,2=tie`; raises InputError where it is of another form."""
    meanings: dict[str, Winner] = {}
    for part in text.split(","):
        cell, _, meaning = part.strip().rpartition("=")
        if not cell or meaning not in ("a", "b", "tie"):
            raise InputError(f"--codes must be like 0=a,1=b,2=tie, not {text!r}")
        meanings[cell.lower()] = meaning  # type: ignore[assignment]
    return meanings


def key_of(label: object) -> str:
    """Return a label as a code: text in lower case, a whole number without its point."""
    number = number_in(label)
    return str(int(number)) if number is not None and number.is_integer() else str(label).strip().lower()


def winner_in(label: object, codes: Codes | None = None) -> Winner | None:
    """Return the side that a label names, `tie`, or None where it is no label.

    Without `codes` it has the usual meanings, and a number between 1 and 2 is AlpacaEval's preference: 1 is the first
    answer, 2 the second.
    """
    if label is None or isinstance(label, bool):
        return None
    meanings = CODES if codes is None else codes
    if (key := key_of(label)) in meanings:
        return meanings[key]
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


def check_zero_one(labels: Iterable[object], source: object) -> None:
    """Raise InputError where all labels are 0 or 1 and both are there: which answer is 1 cannot be told."""
    keys = set()
    for label in labels:
        if (key := key_of(label)) not in ("0", "1"):
            return
        keys.add(key)
    if len(keys) > 1:
        raise InputError(
            f"{source}: all labels are 0 or 1, and whether 1 is the first answer or the second cannot be told; say it "
            "with --codes 0=a,1=b or --codes 1=a,0=b, or --codes 1=a,0=tie"
        )
