"""Reads single fields of other people's records, such as a number from any kind of file."""

from typing import Any

from console.errors import InputError

Record = dict[str, Any]
MOST_NUMBER = 1e100
"""Sums and squares of larger numbers are infinite, and nobody scores an answer with one."""
SHOWN_FIELDS, SHOWN_NAME = 8, 30
LONGEST_SHOWN = 60


def number_in(value: object) -> float | None:
    """Return `value` as a number, also from the text of a table's cell, or None if it is none, or above MOST_NUMBER."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):  # a whole number of JSON may be too large for a float
        return None
    return number if abs(number) <= MOST_NUMBER else None


def is_empty(value: object) -> bool:
    """Return whether a field is null or an empty cell of a table."""
    return value is None or (isinstance(value, str) and not value.strip())


def fields_of(record: Record) -> str:
    """Return the names of a record's fields, for messages."""
    named = [name[:SHOWN_NAME] for name in record if isinstance(name, str)]
    return ", ".join(named[:SHOWN_FIELDS]) + (", ..." if len(named) > SHOWN_FIELDS else "") if named else "nothing"


def number_or_none(record: Record, name: str) -> float | None:
    """Return a number that may be missing. Raises InputError if the field holds something else, NaN included."""
    value = record.get(name)
    if is_empty(value):
        return None
    number = number_in(value)
    if number is None:
        raise InputError(f"'{name}' must be a number, found {shown(value)}")
    return number


def shown(value: object) -> str:
    """Return a value for an error message, or only its type if it is long."""
    text = repr(value)
    return text if len(text) < LONGEST_SHOWN else type(value).__name__
