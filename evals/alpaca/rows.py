"""The row of annotations.json, and checks that rows are one measurement.

One measurement has one annotator, two models and each instruction once. A missing instruction is reported.
"""

from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from console.errors import InputError
from console.output import counted
from console.progress import say
from records.keys import content_key
from records.rows import Row

INSTRUCTIONS = Path(__file__).parent / "alpaca_instructions.txt"
KEY_DIGITS = 8
SHOWN = 10
CONTRADICTS = "the instruction stands there several times with different preferences"


class Annotation(Row, frozen=True, kw_only=True, omit_defaults=True):
    """One row of annotations.json: output_1 is the baseline's, output_2 the evaluated model's."""

    instruction: str | None
    output_1: str | None
    generator_1: str
    output_2: str | None
    """None if the model gave no answer."""
    generator_2: str
    dataset: str | None
    annotator: str
    preference: float | None
    """From 1 (the baseline's is better) to 2 (the model's is better). 0 and 1.5 are draws, None is no verdict."""
    raw_completion: Any
    """The annotator's own words: in this project a list with one reply per order."""
    error: str | None = None
    """Why there is no preference."""
    flipped: bool | None = None
    """Whether the two orders named different winners. None if one order is missing or it was not recorded."""
    index: int | None = None
    """The row of this instruction in AlpacaEval's set, or None if it is not in the set or was not recorded."""


def alpaca_index(instruction: str | None) -> int | None:
    """Return the row, from 0, of `instruction` in AlpacaEval's set of 805, or None if it is not in the set."""
    return None if instruction is None else _alpaca_rows().get(content_key(instruction)[:KEY_DIGITS])


def one_measurement(rows: Sequence[Annotation], path: Path, annotator: str | None = None) -> list[Annotation]:
    """Return the rows of `annotator`, or of the only annotator if it is None.

    Raises InputError if the file has several annotators or answers of several models.
    """
    rows = _of_one(rows, path, annotator)
    for name in ("generator_1", "generator_2"):
        models = sorted({getattr(annotation, name) for annotation in rows})
        if len(models) > 1:
            raise InputError(
                f"{path}: '{name}' names {len(models)} models ({', '.join(models[:3])}); give one file each"
            )
    return list(rows)


def each_once(rows: Sequence[Annotation], path: Path) -> list[Annotation]:
    """Return the rows without duplicates of an instruction and its outputs. Their number is printed on stderr.

    A duplicate with a preference replaces a row without one. If two preferences differ, the instruction has none.
    """
    places: dict[tuple[str | None, str | None, str], int] = {}
    unique: list[Annotation] = []
    n_doubled = n_contradicting = 0
    for annotation in rows:
        # the outputs too: two answers to one instruction are two comparisons
        key = (annotation.output_1, annotation.output_2, annotation.instruction or "")
        if annotation.instruction is None or key not in places:
            places[key] = len(unique)
            unique.append(annotation)
            continue
        n_doubled += 1
        first = unique[places[key]]
        # a third row must not give back the preference that two rows took
        if first.preference is None and first.error != CONTRADICTS:
            unique[places[key]] = annotation  # it was asked again
        elif annotation.preference not in (None, first.preference) and first.preference is not None:
            n_contradicting += 1
            unique[places[key]] = msgspec.structs.replace(first, preference=None, error=CONTRADICTS)
    if n_doubled:
        more = f"; {n_contradicting} of them contradict the first, and the instruction has no preference then"
        say(f"{path}: {counted(n_doubled, 'repeats')} of another row, not counted{more if n_contradicting else ''}")
    several = [
        name
        for name, n in Counter(annotation.instruction for annotation in unique if annotation.instruction).items()
        if n > 1
    ]
    if several:
        say(f"{path}: {len(several)} instructions have several rows with different outputs, and each of them counts")
    return unique


def missing(rows: Sequence[Annotation]) -> list[int] | None:
    """Return which rows of AlpacaEval's set are missing, or None if most instructions are not from that set."""
    indices = {index for annotation in rows if (index := alpaca_index(annotation.instruction)) is not None}
    if 2 * len(indices) <= len(rows):  # a user's own set may share some instructions with AlpacaEval's
        return None
    return [index for index in range(n_instructions()) if index not in indices]


def completeness(rows: Sequence[Annotation]) -> str:
    """Return in words how many of AlpacaEval's instructions the rows have, or an empty text for another set."""
    absent = missing(rows)
    if absent is None:
        return ""
    n = n_instructions()
    return f"{n - len(absent)} of AlpacaEval's {n} instructions"


def say_missing(rows: Sequence[Annotation], path: Path) -> None:
    """Print which of AlpacaEval's instructions are missing, because the leaderboard is over all of them."""
    absent = missing(rows)
    if absent:
        shown = ", ".join(map(str, absent[:SHOWN])) + (", ..." if len(absent) > SHOWN else "")
        say(f"{path}: only {completeness(rows)}; missing are {len(absent)}, in its set's rows from 0: {shown}")


def _of_one(rows: Sequence[Annotation], path: Path, annotator: str | None) -> Sequence[Annotation]:
    counts = Counter(annotation.annotator for annotation in rows)
    shown = ", ".join(f"{name} ({n})" for name, n in counts.most_common(5))
    if annotator is not None:
        if annotator not in counts:
            raise InputError(f"{path}: --annotator {annotator}: there are only {shown}")
        return [annotation for annotation in rows if annotation.annotator == annotator]
    if len(counts) > 1:
        raise InputError(
            f"{path}: annotations by {len(counts)} annotators, which are no one measurement: {shown}; choose one with "
            "--annotator"
        )
    return rows


def n_instructions() -> int:
    """Return the number of instructions in AlpacaEval's set."""
    return len(_alpaca_rows())


@cache
def _alpaca_rows() -> dict[str, int]:
    """Return the row of every instruction by its key. Only keys are packaged: the texts have another licence."""
    keys = INSTRUCTIONS.read_text(encoding="ascii").split()
    return {key: place for place, key in enumerate(keys)}
