"""Reads single fields of other people's records, such as a number from any kind of file."""

import math
from typing import Any

from console.errors import InputError

Record = dict[str, Any]
MOST_NUMBER = 1e100
"""Sums and squares of larger numbers are infinite, and nobody scores an answer with one."""
SHOWN_FIELDS, SHOWN_NAME = 8, 30
LONGEST_SHOWN = 60


def number_in(value: object) -> float | None:
    """Return `value` as a number, also from the text of a table's cell, or None if it is none, or above MOST_NUMBER."""
    number = _any_number_in(value)
    return number if number is not None and abs(number) <= MOST_NUMBER else None


def is_empty(value: object) -> bool:
    """Return whether a field is null or an empty cell of a table."""
    return value is None or (isinstance(value, str) and not value.strip())


def fields_of(record: Record) -> str:
    """Return the names of a record's fields, for messages."""
    named = [name[:SHOWN_NAME] for name in record if isinstance(name, str)]
    return ", ".join(named[:SHOWN_FIELDS]) + (", ..." if len(named) > SHOWN_FIELDS else "") if named else "nothing"


def number_or_none(record: Record, name: str, least: float = -MOST_NUMBER, most: float = MOST_NUMBER) -> float | None:
    """Return a number from `least` to `most` that may be missing. Raises InputError if the field holds another."""
    value = record.get(name)
    if is_empty(value):
        return None
    number = _any_number_in(value)
    if number is None or not least <= number <= most:
        wanted = "a number" if number is None else f"{least:g} or more" if number < least else f"at most {most:g}"
        raise InputError(f"'{name}' must be {wanted}, found {shown(value)}")
    return number


def _any_number_in(value: object) -> float | None:
    """Return `value` as a number, an infinity included, or None if it is none, such as NaN."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    except OverflowError:  # a whole number of JSON may be too large for a float
        return math.copysign(math.inf, -1 if str(value).startswith("-") else 1)
    return None if math.isnan(number) else number


def shown(value: object) -> str:
    """Return a value for an error message, or only its type if it is long."""
    text = repr(value)
    return text if len(text) < LONGEST_SHOWN else type(value).__name__
