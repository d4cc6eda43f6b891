"""The rows of a file that are read anew each time, so that they need no memory."""

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, Protocol, TypeVar

from console.errors import InputError
from records.files import BadRows

RowT = TypeVar("RowT")
RowT_co = TypeVar("RowT_co", covariant=True)


class Rows(Protocol[RowT_co]):
    """Rows that can be counted and gone through several times: a list, or those of a file."""

    def __len__(self) -> int:
        """Return the number of rows."""

    def __iter__(self) -> Iterator[RowT_co]:
        """Yield the rows, the same each time."""


class FileRows(Generic[RowT]):
    """The rows that `read` yields. They are read once at the beginning, for their number and for what is wrong."""

    def __init__(self, read: Callable[[BadRows], Iterable[RowT]], bad: BadRows) -> None:
        self._read = read
        self._n = sum(1 for _ in read(bad))

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._n

    def __iter__(self) -> Iterator[RowT]:
        """Yield the rows. Raises InputError if their number has changed, because somebody writes to the file."""
        n = 0
        for row in self._read(BadRows(quiet=True)):
            yield row
            n += 1
        if n != self._n:
            raise InputError(f"the file had {self._n} rows and has {n} now: train when nobody writes to it")
