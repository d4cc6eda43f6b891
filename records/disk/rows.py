"""Rows that lie on disk to be read again: in their order, in the order of their groups, or only some of them.

A command that needs the rows of a file twice, or together by prompt wherever they stand, keeps them here, so that its
memory does not grow with the file. Everything is written one after the other and sorted by SQLite in a few MiB.
"""

import sqlite3
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Generic, TypeVar

import msgspec

from records.disk.index import database

RowT = TypeVar("RowT")
# One row an id: the last one, at the place of the first. Of each the first place of its group.
SETTLE = """
CREATE TABLE settled AS
SELECT n, place, min(place) OVER (PARTITION BY key) AS first, max(place) OVER (PARTITION BY key) AS last FROM (
    SELECT n, key, min(n) OVER (PARTITION BY id) AS place, max(n) OVER (PARTITION BY id) AS newest FROM keys
) WHERE n = newest
"""


class DiskRows(Generic[RowT]):
    """A list of rows of one type on disk."""

    def __init__(self, row_type: type[RowT]) -> None:
        self._db = database("CREATE TABLE rows (n INTEGER PRIMARY KEY, row BLOB)")
        self._decode = msgspec.json.Decoder(row_type).decode
        self._n = 0

    def append(self, row: RowT) -> None:
        """Add a row. Raises StoreError if the disk for temporary files is full."""
        self._db.execute("INSERT INTO rows (row) VALUES (?)", (msgspec.json.encode(row),))
        self._n += 1

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, place: int) -> RowT:
        found = self._db.execute("SELECT row FROM rows WHERE n = ?", (place + 1,)).fetchone()
        if found is None:
            raise IndexError(place)
        return self._decode(found[0])

    def __iter__(self) -> Iterator[RowT]:
        return (self._decode(row) for (row,) in self._db.execute("SELECT row FROM rows ORDER BY n"))


class GroupedRows(DiskRows[RowT]):
    """Rows on disk by groups, of which one is kept for each id: the last one, at the place of the first.

    All rows are put before the first is read. `limit` leaves out the rows of all groups but the first ones.
    """

    def __init__(self, row_type: type[RowT], limit: int | None = None) -> None:
        super().__init__(row_type)
        self._db.execute("CREATE TABLE keys (n INTEGER PRIMARY KEY, key TEXT, id)")
        self._limit = limit
        self._is_settled = False

    def put(self, row: RowT, key: str, row_id: str | None = None) -> None:
        """Add a row to the group `key`. Without an id it is kept whatever follows."""
        self.append(row)
        self._db.execute("INSERT INTO keys VALUES (?, ?, ?)", (self._n, key, self._n if row_id is None else row_id))

    def __len__(self) -> int:
        return int(self._settled("SELECT count(*) FROM settled").fetchone()[0])

    def __iter__(self) -> Iterator[RowT]:
        return (self._decode(row) for _, row in self._sorted("place"))

    def groups(self, *, by_last: bool = False) -> Iterator[list[RowT]]:
        """Yield the rows of each group in order, the groups by the places of their first rows, or of their last."""
        for _, group in groupby(self._sorted("last" if by_last else "first"), itemgetter(0)):
            yield [self._decode(row) for _, row in group]

    def _sorted(self, by: str) -> sqlite3.Cursor:
        # LIMIT -1, no limit, keeps SQLite from sorting the rows themselves, and CROSS JOIN from another order.
        order = f"SELECT {by} AS place_, n FROM settled ORDER BY {by}, place LIMIT -1"
        return self._settled(f"SELECT place_, row FROM ({order}) AS o CROSS JOIN rows ON rows.n = o.n")

    def _settled(self, query: str) -> sqlite3.Cursor:
        if not self._is_settled:
            self._db.execute(SETTLE)
            if self._limit is not None:
                first = "SELECT DISTINCT first FROM settled ORDER BY first LIMIT 1 OFFSET ?"
                self._db.execute(f"DELETE FROM settled WHERE first >= ({first})", (self._limit,))
            self._is_settled = True
        return self._db.execute(query)


class DiskRanks:
    """The ranks of things, sorted on disk: which of them, by their numbers, come first within their class."""

    def __init__(self) -> None:
        self._db = database("CREATE TABLE t (n INTEGER PRIMARY KEY, class, a, b, c)")

    def append(self, rank: tuple[float, int, str], class_: int = 0) -> None:
        """Add the rank of the next thing. They are numbered from 0."""
        self._db.execute("INSERT INTO t (class, a, b, c) VALUES (?, ?, ?, ?)", (class_, *rank))

    def sizes(self) -> list[int]:
        """Return the number of things of each class."""
        return [n for (n,) in self._db.execute("SELECT count(*) FROM t GROUP BY class")]

    def first(self, most: int) -> Iterator[int]:
        """Yield the numbers of the first `most` of each class, ascending."""
        order = "SELECT n, row_number() OVER (PARTITION BY class ORDER BY a, b, c, n) AS rank FROM t"
        kept = self._db.execute(f"SELECT n FROM ({order}) WHERE rank <= ? ORDER BY n", (most,))
        return (n - 1 for (n,) in kept)
