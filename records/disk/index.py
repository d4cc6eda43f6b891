"""Dictionaries, sets and an index of rows that lie on disk, so that a file of any length is read in the same memory.

Each is a private SQLite database without a name. It spills to a temporary file once it outgrows its cache, and is gone
with the process.
"""

import sqlite3
import tempfile
from collections.abc import Iterator, MutableMapping, Set
from typing import Any, Generic, TypeVar

from console.errors import StoreError

ValueT = TypeVar("ValueT", int, str, float | None)
CACHE_KIB = 2048


class Database(sqlite3.Connection):
    """A connection that says what to do if the disk for temporary files is full, with a StoreError."""

    def execute(self, *args: Any) -> sqlite3.Cursor:
        """Run a statement."""
        try:
            return super().execute(*args)
        except sqlite3.OperationalError as error:
            raise StoreError(
                f"the folder for temporary files, {tempfile.gettempdir()}: {error}; free some, or set TMPDIR "
                "to another folder"
            ) from None


def database(table: str) -> Database:
    """Return a private database with one table, which spills to disk and is gone with the process."""
    # The thread that calls a server looks ids up too. With isolation_level=None, sqlite3 leaves transactions to us.
    database = sqlite3.connect("", isolation_level=None, check_same_thread=False, factory=Database)
    database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")  # negative: KiB, otherwise pages
    database.execute(table)
    database.execute("BEGIN")  # never committed: nobody reads it after this process
    return database


class DiskDict(MutableMapping[str, ValueT], Generic[ValueT]):
    """A mapping from text to numbers or to text, in the order in which the keys were first added."""

    def __init__(self) -> None:
        self._db = database("CREATE TABLE t (n INTEGER PRIMARY KEY, key TEXT UNIQUE, value)")
        self._ask = self._db.execute

    def __getitem__(self, key: str) -> ValueT:
        columns = self._ask("SELECT value FROM t WHERE key = ?", (key,)).fetchone()
        if columns is None:
            raise KeyError(key)
        return columns[0]  # type: ignore[no-any-return]

    def __setitem__(self, key: str, value: ValueT) -> None:
        self._ask(
            # Not INSERT OR REPLACE, which gives the key a new `n` and so moves it to the end.
            "INSERT INTO t (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (key, value),
        )

    def put_new(self, key: str, value: ValueT) -> bool:
        """Set `key` if it is not there yet, and return whether it was new."""
        return self._ask("INSERT OR IGNORE INTO t (key, value) VALUES (?, ?)", (key, value)).rowcount == 1

    def __delitem__(self, key: str) -> None:
        if not self._ask("DELETE FROM t WHERE key = ?", (key,)).rowcount:
            raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return self._ask("SELECT 1 FROM t WHERE key = ?", (key,)).fetchone() is not None

    def __iter__(self) -> Iterator[str]:
        return (key for (key,) in self._ask("SELECT key FROM t ORDER BY n"))

    def __len__(self) -> int:
        return int(self._ask("SELECT count(*) FROM t").fetchone()[0])


class DiskSet(Set[str]):
    """A set of texts that only grows."""

    def __init__(self) -> None:
        self._dict: DiskDict[int] = DiskDict()

    def add(self, key: str) -> bool:
        """Add `key` and return whether it is new."""
        return self._dict.put_new(key, 1)

    def __contains__(self, key: object) -> bool:
        return key in self._dict

    def __iter__(self) -> Iterator[str]:
        return iter(self._dict)

    def __len__(self) -> int:
        return len(self._dict)


class RowIndex:
    """The last row of each id in a file: the offset at which it begins, and whether it is done.

    Ids come in the order in which they were first added.
    """

    def __init__(self) -> None:
        table = "CREATE TABLE t (n INTEGER PRIMARY KEY, id TEXT UNIQUE, offset INTEGER, is_done INTEGER)"
        self._db = database(table)
        self._ask = self._db.execute

    def put(self, row_id: str, offset: int, *, is_done: bool) -> None:
        """Set the last row of `row_id`."""
        self._ask(
            # Not INSERT OR REPLACE, which gives the id a new `n` and so moves it to the end.
            "INSERT INTO t (id, offset, is_done) VALUES (?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET offset = excluded.offset, is_done = excluded.is_done",
            (row_id, offset, is_done),
        )

    def offset(self, row_id: str) -> int | None:
        """Return the offset of the last row of `row_id`, or None if there is none."""
        columns = self._ask("SELECT offset FROM t WHERE id = ?", (row_id,)).fetchone()
        return None if columns is None else int(columns[0])

    def __contains__(self, row_id: object) -> bool:
        return self._ask("SELECT 1 FROM t WHERE id = ?", (row_id,)).fetchone() is not None

    def __iter__(self) -> Iterator[str]:
        return (row_id for (row_id,) in self._ask("SELECT id FROM t ORDER BY n"))

    def is_done(self, row_id: object) -> bool:
        """Return whether the last row of `row_id` is done. It is not if there is none."""
        return self._ask("SELECT 1 FROM t WHERE id = ? AND is_done", (row_id,)).fetchone() is not None

    def done(self) -> Iterator[str]:
        """Yield the ids of the rows that are done."""
        return (row_id for (row_id,) in self._ask("SELECT id FROM t WHERE is_done ORDER BY n"))

    def n_done(self) -> int:
        """Return the number of ids whose last row is done."""
        return int(self._ask("SELECT count(*) FROM t WHERE is_done").fetchone()[0])
