"""Reads rows of this project's own types from whatever kind of file somebody keeps them in."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from console.errors import InputError, RowError
from records.fields.values import MOST_NUMBER
from records.files import BadRows, Record, read_records
from records.rows import Row

RowT = TypeVar("RowT", bound=Row)
CHATS = ("prompt", "chosen", "rejected")
"""The fields that hold messages."""


def read_typed(source: str | Path, row_type: type[RowT], bad: BadRows) -> Iterator[RowT]:
    """Yield the rows of a file in any supported format. A row that is no `row_type` is bad.

    Raises InputError if there is no such file or none of its rows is one.
    """
    return (row for _, row in located_typed(source, row_type, bad))


def located_typed(source: str | Path, row_type: type[RowT], bad: BadRows) -> Iterator[tuple[str, RowT]]:
    """Yield each row after its place, `file:line`, for messages."""
    n_good, n_bad_before = 0, bad.n_bad
    for where, record in read_records(source, _Typed(bad, row_type)):
        try:
            row = typed(record, row_type)
        except InputError as error:
            bad.add(RowError(f"{where}: {error}"))
            continue
        n_good += 1
        yield where, row
    if n_good == 0:
        raise InputError(f"{source}: no {row_type.__name__} row in it: {bad.summary(n_bad_before)}")


class _Typed(BadRows):
    """Says of a line that is no record at all that it is no row of the type that is wanted."""

    def __init__(self, bad: BadRows, row_type: type[Row]) -> None:
        super().__init__(strict=bad.strict)
        self.n_bad = bad.n_bad
        self._bad = bad
        self._what = f"not a {row_type.__name__} row"

    def add(self, error: RowError) -> None:
        where, mark, reason = str(error).partition(": not ")
        self._bad.add(RowError(f"{where}: {self._what}: not {reason}") if mark else error)
        self.n_bad, self.last = self._bad.n_bad, self._bad.last  # read_records says these if no row is good


def typed(record: Record, row_type: type[RowT]) -> RowT:
    """Return a record as a row. Raises InputError if a field is missing or of another type, or a number is NaN."""
    try:
        row = msgspec.convert(record, row_type, strict=False)  # in a CSV file numbers are text
    except msgspec.ValidationError as error:
        row = _without_nulls(record, row_type, error)
    except RecursionError:
        raise InputError(f"not a {row_type.__name__} row: nested too deeply") from None
    except UnicodeEncodeError:
        raise InputError(f"not a {row_type.__name__} row: it holds a character that is not text") from None
    if name := _not_finite(row):
        what = f"NaN, an infinity or a number above {MOST_NUMBER:g}"
        raise InputError(f"not a {row_type.__name__} row: '{name}' holds {what}")
    # msgspec has checked the types only: an empty list, or a turn without a role, is still a list of dictionaries.
    if name := next((name for name in CHATS if not _is_chat(getattr(row, name, ""))), None):
        raise InputError(f"not a {row_type.__name__} row: '{name}' must be text or messages with a role and a content")
    try:
        msgspec.json.encode(row)  # half a surrogate pair, which no key can be made of
    except UnicodeEncodeError:
        raise InputError(f"not a {row_type.__name__} row: it holds a character that is not text") from None
    return row


def _is_chat(value: Any) -> bool:
    if not isinstance(value, list):
        return True
    return bool(value) and all({"role", "content"} <= turn.keys() for turn in value)


def _without_nulls(record: Record, row_type: type[RowT], first: msgspec.ValidationError) -> RowT:
    # A table such as Parquet has null for a field that the row does not have at all.
    try:
        return msgspec.convert(_present(record), row_type, strict=False)
    except (msgspec.ValidationError, UnicodeEncodeError):
        raise InputError(f"not a {row_type.__name__} row: {first}") from None


def _present(record: Record) -> Record:
    present = {name: value for name, value in record.items() if value is not None}
    return {name: _present(value) if isinstance(value, dict) else value for name, value in present.items()}


def _not_finite(row: Row) -> str | None:
    return next((name for name in row.__struct_fields__ if _holds_no_number(getattr(row, name))), None)


def _holds_no_number(value: Any) -> bool:
    if isinstance(value, float):
        return not abs(value) <= MOST_NUMBER  # NaN is not, either
    if isinstance(value, list):
        return any(map(_holds_no_number, value))
    if isinstance(value, dict):
        return any(map(_holds_no_number, value.values()))
    return isinstance(value, Row) and _not_finite(value) is not None
