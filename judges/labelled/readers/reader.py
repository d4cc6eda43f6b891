"""The result of a reader, and helpers that readers share."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import msgspec

from console.errors import InputError, RowError
from judges.labelled.labels import LabelledPair, LabelledScore
from judges.labelled.traits import keys_in
from records.fields.messages import check_text
from records.fields.preferences import SIDES, says_better
from records.files import BadRows, Record
from records.keys import content_key
from records.rows import Message

Records = Sequence[tuple[str, Record]]
"""Each record after its place, `file:line`."""
RowT = TypeVar("RowT")
LabelledT = TypeVar("LabelledT", LabelledPair, LabelledScore)
UNEXPECTED = (
    KeyError, TypeError, AttributeError, ValueError, OverflowError, IndexError, RecursionError, msgspec.MsgspecError
)  # fmt: skip
"""Errors on a record that lacks a field or has another type in it."""
HUMANS = "humans"
ANSWERS = tuple(names for names in SIDES if not says_better(names))
"""The usual names of two answers."""


@dataclass(frozen=True)
class Found:
    """The rows of a set, and their labeller."""

    pairs: Sequence[LabelledPair] = ()
    scores: Sequence[LabelledScore] = ()
    labeller: str = HUMANS
    ranks: bool = False


def each(
    records: Records, bad: BadRows, rows_of: Callable[[str, Record], Iterable[RowT]], key: str | None = None
) -> list[RowT]:
    """Return the rows of all records. `rows_of` gets the record's number, from 0, as text. Bad records are counted.

    Labelled rows get the record's keys, the column `key` among them, and its place.
    """
    rows: list[RowT] = []
    for number, (where, record) in enumerate(records):
        try:
            made = list(rows_of(str(number), record))
            keys = keys_in(record, key) if len(made) == 1 else None  # several rows would share a record's key
            rows += [_located(labelled, keys, number) for labelled in made]
        except InputError as error:
            bad.add(RowError(f"{where}: {error}"))
        except UNEXPECTED as error:
            bad.add(RowError(f"{where}: not a row of this format: {_what(error)}"))
    return rows


def with_own_key(row: LabelledT, name: str = "id") -> LabelledT:
    """Return a labelled row with its id as its key."""
    return replace(row, keys={name: row.id})


def _located(row: RowT, keys: dict[str, str] | None, number: int) -> RowT:
    """Return a labelled row with its place and `keys`, or with its id as key if a record gave several rows."""
    if not isinstance(row, LabelledPair | LabelledScore):
        return row
    return replace(row, keys={"id": row.id} if keys is None else keys, place=number)


def _what(error: Exception) -> str:
    return f"it lacks {error}" if isinstance(error, KeyError) else f"{type(error).__name__}: {error}"


def group_of(prompt: str | list[Message]) -> str:
    """Return the group of the rows that share `prompt`."""
    return content_key("prompt", prompt)


def text(record: Record, name: str) -> str:
    """Return a field that must be text. Raises InputError if it is not."""
    value = record.get(name)
    if not isinstance(value, str):
        raise InputError(f"'{name}' must be text, found {type(value).__name__}")
    return check_text(value, name)


def answers_in(record: Record) -> tuple[str, str] | None:
    """Return the names of the fields with the two answers, or None."""
    return next((names for names in ANSWERS if names[0] in record and names[1] in record), None)
