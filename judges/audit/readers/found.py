"""What a reader gives back, and what readers share."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from console.errors import InputError, RowError
from judges.audit.labels import LabelledPair, LabelledScore
from records.fields.preferences import CHOSEN, SIDES
from records.files import BadRows, Record
from records.keys import content_key
from records.rows import Message

Records = Sequence[tuple[str, Record]]
"""Each record after its place, `file:line`."""
RowT = TypeVar("RowT")
UNEXPECTED = (KeyError, TypeError, AttributeError, ValueError, IndexError, RecursionError, msgspec.MsgspecError)
"""What a reader meets in a record that lacks a field, or holds another type in it."""
HUMANS = "humans"
ANSWERS = tuple(names for names in SIDES if names != CHOSEN)
"""The names under which people keep two answers."""


@dataclass(frozen=True)
class Found:
    """The rows of a set, and who labelled them."""

    pairs: Sequence[LabelledPair] = ()
    scores: Sequence[LabelledScore] = ()
    labeller: str = HUMANS
    ranks: bool = False


def each(records: Records, bad: BadRows, rows_of: Callable[[str, Record], Iterable[RowT]]) -> list[RowT]:
    """Return the rows of all records; `rows_of` gets the record's number, from 0, as text. A bad one is counted."""
    rows: list[RowT] = []
    for number, (where, record) in enumerate(records):
        try:
            rows += rows_of(str(number), record)
        except InputError as error:
            bad.add(RowError(f"{where}: {error}"))
        except UNEXPECTED as error:
            bad.add(RowError(f"{where}: not a row of this format: {_what(error)}"))
    return rows


def _what(error: Exception) -> str:
    return f"it lacks {error}" if isinstance(error, KeyError) else f"{type(error).__name__}: {error}"


def group_of(prompt: str | list[Message]) -> str:
    """Return the group of the rows that share `prompt`."""
    return content_key("prompt", prompt)


def text(record: Record, name: str) -> str:
    """Return a field that must be text; raises InputError where it is not."""
    value = record.get(name)
    if not isinstance(value, str):
        raise InputError(f"'{name}' must be text, found {type(value).__name__}")
    return value


def answers_in(record: Record) -> tuple[str, str] | None:
    """Return the names of the fields with the two answers, or None."""
    return next((names for names in ANSWERS if names[0] in record and names[1] in record), None)
