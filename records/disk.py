"""Dictionaries and sets that lie on disk, so that a file of any length is read in the same memory.

Each is a private SQLite database without a name: it spills to a temporary file once it outgrows its cache, and goes
with the process.
"""

import sqlite3
from collections.abc import Iterator, MutableMapping, Set
from typing import Generic, TypeVar

ValueT = TypeVar("ValueT", int, str)
CACHE_KIB = 2048


class DiskDict(MutableMapping[str, ValueT], Generic[ValueT]):
    """A mapping from text to numbers or to text, in the order in which keys first came."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        self._db.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, key TEXT UNIQUE, value)")
        self._db.execute("BEGIN")  # never committed: nobody reads it after this process
        self._ask = self._db.execute

    def __getitem__(self, key: str) -> ValueT:
        row = self._ask("SELECT value FROM t WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise KeyError(key)
        return row[0]  # type: ignore[no-any-return]

    def __setitem__(self, key: str, value: ValueT) -> None:
        self._ask(
            "INSERT INTO t (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (key, value),
        )

    def put_new(self, key: str, value: ValueT) -> bool:
        """Set `key` where it is not there yet and return whether it was new."""
        return self._ask("INSERT OR IGNORE INTO t (key, value) VALUES (?, ?)", (key, value)).rowcount == 1

    def __delitem__(self, key: str) -> None:
        if not self._ask("DELETE FROM t WHERE key = ?", (key,)).rowcount:
            raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return self._ask("SELECT 1 FROM t WHERE key = ?", (key,)).fetchone() is not None

    def __iter__(self) -> Iterator[str]:
        return (row[0] for row in self._ask("SELECT key FROM t ORDER BY n"))

    def __len__(self) -> int:
        return int(self._ask("SELECT count(*) FROM t").fetchone()[0])


class DiskSet(Set[str]):
    """A set of texts that only grows."""

    def __init__(self) -> None:
        self._dict: DiskDict[int] = DiskDict()

    def add(self, key: str) -> bool:
        """Put `key` in and return whether it is new."""
        return self._dict.put_new(key, 1)

    def __contains__(self, key: object) -> bool:
        return key in self._dict

    def __iter__(self) -> Iterator[str]:
        return iter(self._dict)

    def __len__(self) -> int:
        return len(self._dict)
