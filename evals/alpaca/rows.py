"""Whether stored annotations are one measurement: one annotator, two models, each instruction once, none missing."""

from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from console.errors import InputError
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
    """None where the model gave no answer."""
    generator_2: str
    dataset: str | None
    annotator: str
    preference: float | None
    """1 (the baseline's is better) to 2 (the model's is); 0 and 1.5 are draws; None where there is no verdict."""
    raw_completion: Any
    """The annotator's own words: here a list with one reply for each order."""
    error: str | None = None
    """Why there is no preference."""
    flipped: bool | None = None
    """Whether the two orders named different winners; None where there are not both, or nobody recorded it."""
    index: int | None = None
    """The row of AlpacaEval's set that this instruction has; None where it is not recorded or not in it."""


def alpaca_index(instruction: str | None) -> int | None:
    """Return the row, from 0, that `instruction` has in AlpacaEval's set of 805, or None where it is not in it."""
    return None if instruction is None else _alpaca_rows().get(content_key(instruction)[:KEY_DIGITS])


def one_measurement(rows: Sequence[Annotation], path: Path, annotator: str | None = None) -> list[Annotation]:
    """Return the rows of one annotator, by name or the only one.

    Raises InputError where the file has several annotators, or answers of several models.
    """
    rows = _of_one(rows, path, annotator)
    for name in ("generator_1", "generator_2"):
        found = sorted({getattr(row, name) for row in rows})
        if len(found) > 1:
            raise InputError(f"{path}: '{name}' names {len(found)} models ({', '.join(found[:3])}); give one file each")
    return list(rows)


def each_once(rows: Sequence[Annotation], path: Path) -> list[Annotation]:
    """Return the rows without those that repeat another one's instruction and outputs, which are counted on stderr.

    One without a preference gives way to one that has it; where two contradict each other there is none.
    """
    places: dict[tuple[str | None, str | None, str], int] = {}
    kept: list[Annotation] = []
    n_doubled = n_contradicting = 0
    for row in rows:
        key = (row.output_1, row.output_2, row.instruction or "")
        if row.instruction is None or key not in places:
            places[key] = len(kept)
            kept.append(row)
            continue
        n_doubled += 1
        first = kept[places[key]]
        if first.preference is None and first.error != CONTRADICTS:
            kept[places[key]] = row  # it was asked again
        elif row.preference not in (None, first.preference) and first.preference is not None:
            n_contradicting += 1
            kept[places[key]] = msgspec.structs.replace(first, preference=None, error=CONTRADICTS)
    if n_doubled:
        more = f"; {n_contradicting} of them contradict the first, and the instruction has no preference then"
        say(f"{path}: {n_doubled} rows repeat another one and are not counted{more if n_contradicting else ''}")
    several = [name for name, n in Counter(row.instruction for row in kept if row.instruction).items() if n > 1]
    if several:
        say(f"{path}: {len(several)} instructions have several rows with different outputs, and each of them counts")
    return kept


def missing(rows: Sequence[Annotation]) -> list[int] | None:
    """Return the rows of AlpacaEval's set that are not there; None where most instructions are not of that set."""
    found = {index for row in rows if (index := alpaca_index(row.instruction)) is not None}
    if 2 * len(found) <= len(rows):
        return None
    return [index for index in range(n_instructions()) if index not in found]


def completeness(rows: Sequence[Annotation]) -> str:
    """Return how many of AlpacaEval's instructions the rows are, in words; empty for other sets."""
    absent = missing(rows)
    if absent is None:
        return ""
    n = n_instructions()
    return f"{n - len(absent)} of AlpacaEval's {n} instructions"


def say_missing(rows: Sequence[Annotation], path: Path) -> None:
    """Say which of AlpacaEval's instructions are missing: the leaderboard is over all of them."""
    absent = missing(rows)
    if absent:
        shown = ", ".join(map(str, absent[:SHOWN])) + (", ..." if len(absent) > SHOWN else "")
        say(f"{path}: only {completeness(rows)}; missing are {len(absent)}, in its set's rows from 0: {shown}")


def _of_one(rows: Sequence[Annotation], path: Path, annotator: str | None) -> Sequence[Annotation]:
    counts = Counter(row.annotator for row in rows)
    shown = ", ".join(f"{name} ({n})" for name, n in counts.most_common(5))
    if annotator is not None:
        if annotator not in counts:
            raise InputError(f"{path}: --annotator {annotator}: there are only {shown}")
        return [row for row in rows if row.annotator == annotator]
    if len(counts) > 1:
        raise InputError(
            f"{path}: annotations by {len(counts)} annotators, which are no one measurement: {shown}; choose one with "
            "--annotator"
        )
    return rows


def n_instructions() -> int:
    """Return how many instructions AlpacaEval's set has."""
    return len(_alpaca_rows())


@cache
def _alpaca_rows() -> dict[str, int]:
    """Return the row of every instruction by its key; only keys are kept: the texts have a licence of their own."""
    keys = INSTRUCTIONS.read_text(encoding="ascii").split()
    return {key: row for row, key in enumerate(keys)}
