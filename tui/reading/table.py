"""All rows of what is shown, in one table that grows with its files."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from console.errors import InputError, RowError
from console.output import counted
from console.visible import one_line
from records.fields.labels import Codes
from records.rows import text_of
from tui.reading.file_index import FileIndex, no_rows
from tui.reading.items import Item
from tui.reading.kinds import KINDS
from tui.reading.packed import Words, mark_replaced
from tui.reading.saved import load, save
from tui.reading.sources import Source, find_source

CACHED_HEADS = 4_096
HEAD_CHARS = 240


@dataclass(frozen=True)
class Body:
    """One verdict with its whole record."""

    row: int
    item: Item
    record: dict[str, object]
    path: Path
    line: int

    @property
    def where(self) -> str:
        """Return the place of the row, for messages."""
        return f"{self.path}:{self.line}"


class Table:
    """The rows of all files. `rows` is replaced, never changed, so that a reader in another thread keeps its own."""

    def __init__(self, source: Source, codes: Codes | None = None) -> None:
        self.source = source
        self.codes = codes
        self.words = Words()
        self.rows = no_rows()
        self.files: list[FileIndex] = []
        self.notices: list[str] = []
        """What a person should know about the files, the oldest first."""
        self.done_bytes = self.total_bytes = 0
        self._gone: set[Path] = set()
        self._told: set[tuple[Path, tuple[int, int]]] = set()
        self._is_stale = False
        """Whether a file was replaced, so that all are to be read again."""
        self.progress = source.progress()
        """How far the run is, as of the last look."""
        self._kinds: dict[str, int] = {}
        self._kinds_of: np.ndarray | None = None
        """The rows of which `_kinds` are the numbers."""
        self._numbers = np.empty(0, dtype="i4")
        self._numbers_of: np.ndarray | None = None
        self._lock = threading.Lock()
        self._head_of = lru_cache(maxsize=CACHED_HEADS)(self._read_head)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def n_bad(self) -> int:
        """Return the number of lines that are no rows."""
        return sum(file.n_bad for file in self.files)

    @property
    def n_torn(self) -> int:
        """Return the number of files whose last line is not whole."""
        return sum(file.torn for file in self.files)

    @property
    def bad(self) -> list[str]:
        """Return what is wrong with the first bad rows of each file."""
        return [message for file in self.files for message in file.bad]

    def read(self, stopped: Callable[[], bool] = lambda: False) -> Iterator[int]:
        """Read what is not read yet, and yield the number of rows after each step. Raises InputError for a bad file."""
        with self._lock:
            yield from self._read_new(stopped)

    def read_all(self) -> "Table":
        """Read everything and return the table. Raises InputError if there is no row."""
        for _ in self.read():
            pass
        if not len(self.rows):
            raise InputError(self.nothing())
        return self

    def nothing(self) -> str:
        """Return why there is no row to show."""
        if not self.files:
            return f"{self.source.name}: no judgments, comparisons or pairs yet; wait for them, or name a file"
        first = f": {self.bad[0]}" if self.bad else ""
        return f"{self.files[0].path}: no row to show: {counted(self.n_bad, 'bad rows')}{first}"

    def _read_new(self, stopped: Callable[[], bool]) -> Iterator[int]:
        if self._is_stale:
            self._read_again(stopped)
            yield len(self.rows)
            return
        known = {file.path for file in self.files}
        for path in self.source.files():
            if path not in known:
                self._open(path)
        self.total_bytes = sum(file.size for file in self.files)
        for number, file in enumerate(self.files):
            if not file.is_read or file.state() == "grown":
                yield from self._read_file(number, file, stopped)
        self.done_bytes = self.total_bytes

    def _open(self, path: Path) -> None:
        file = FileIndex(path, self.words, self.codes)
        if len(self.files) == 0 and (rows := load(file)) is not None:
            self.rows = rows  # of one large file, mapped and not copied
        elif (rows := load(file)) is not None:
            rows["source"] = len(self.files)
            self.rows = np.concatenate([self.rows, rows])
        self.files.append(file)

    def _read_file(self, number: int, file: FileIndex, stopped: Callable[[], bool]) -> Iterator[int]:
        before = sum(other.end for other in self.files if other is not file)
        parts: list[np.ndarray] = []
        n_joined = len(self.rows)

        def told(done: int, total: int) -> None:
            self.done_bytes = before + done

        n_before = int((self.rows["source"] == number).sum()) if len(self.rows) else 0
        for part in file.read(told):
            part["source"] = number
            parts.append(part)
            n_parts = sum(map(len, parts))
            # Joined when the table has doubled, or else every batch would copy all rows before it.
            if n_parts >= n_joined:
                n_joined = self._join(parts)
            yield len(self.rows)
            if stopped():
                break
        self._join(parts)
        mark_replaced(self.rows)
        own = self.rows if len(self.files) == 1 else self.rows[self.rows["source"] == number]
        if len(own) > n_before and file.is_read:
            save(file, own)
        yield len(self.rows)

    def _join(self, parts: list[np.ndarray]) -> int:
        self.rows = np.concatenate([self.rows, *parts])
        parts.clear()
        return len(self.rows)

    def changed(self) -> bool:
        """Look at the files, and return whether there is something new to read. Says what became of them."""
        self.progress = self.source.progress()
        for file in list(self.files):
            state = file.state()
            if state == "gone" and file.path not in self._gone:
                self._gone.add(file.path)
                self.notices.append(f"{file.path}: was deleted; what was read is still shown")
            elif state == "replaced" and (file.path, _version(file.path)) not in self._told:
                self._told.add((file.path, _version(file.path)))
                self.notices.append(f"{file.path}: was replaced, and is read again")
                self._is_stale = True
                return True
            elif state == "grown":
                return True
        known = {file.path for file in self.files}
        return any(path not in known for path in self.source.files())

    def _read_again(self, stopped: Callable[[], bool]) -> None:
        """Read everything anew, and only then put it in the place of the old rows, which are shown meanwhile."""
        self._is_stale = False
        fresh = Table(self.source, self.codes)
        for _ in fresh._read_new(stopped):
            pass
        self.files, self.words, self.rows = fresh.files, fresh.words, fresh.rows
        self._head_of.cache_clear()

    def body(self, row: int) -> Body:
        """Return the whole of a row. Raises InputError if it can no longer be read."""
        try:
            packed = self.rows[row]
            file = self.files[int(packed["source"])]
        except IndexError:  # the files were read again a moment ago
            raise InputError("this row is gone: its file was replaced") from None
        item, record = file.item(packed)
        return Body(row, item, record, file.path, int(packed["line"]))

    def head(self, row: int) -> str:
        """Return the start of a row's prompt on one line, or a mark if it can no longer be read."""
        return self._head_of(row, id(self.words))

    def _read_head(self, row: int, _: int) -> str:
        try:
            prompt = text_of(self.body(row).item.prompt)
        except InputError:
            return "(cannot be read: the file has changed)"
        return one_line(" ".join(prompt.lstrip()[: HEAD_CHARS * 4].split()))[:HEAD_CHARS]

    def kinds(self) -> dict[str, int]:
        """Return the number of rows of each kind that there is. A replaced row does not count."""
        rows = self.rows
        if self._kinds_of is not rows:  # it is asked for at each key
            counts = np.bincount(rows["kind"][rows["replaced"] == 0], minlength=len(KINDS))
            self._kinds = {kind: int(n) for kind, n in zip(KINDS, counts, strict=True) if n}
            self._kinds_of = rows
        return self._kinds

    def number(self, row: int, kind: str) -> int:
        """Return the number of a row, from 1, among those of its kind, or among all for another word than a kind."""
        if kind not in KINDS or self.kinds() == {kind: len(self.rows)}:
            return row + 1
        if self._numbers_of is not self.rows:  # of every row at once: it is asked for at each line that is drawn
            self._numbers, self._numbers_of = _numbers(self.rows), self.rows
        return int(self._numbers[row])

    def word(self, name: str, row: int) -> str:
        """Return the word of a coded field, such as the judge's name."""
        return self.words.words[int(self.rows[name][row])]


def _numbers(rows: np.ndarray) -> np.ndarray:
    """Return the number of each row among those of its kind. A row that is replaced has that of the one before it."""
    numbers = np.empty(len(rows), dtype="i4")
    for kind in range(len(KINDS)):
        is_own = rows["kind"] == kind
        numbers[is_own] = np.cumsum(rows["replaced"][is_own] == 0)
    return numbers


def _version(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return 0, 0
    return stat.st_size, stat.st_mtime_ns


def open_files(*paths: Path, codes: Codes | None = None, strict: bool = False) -> Table:
    """Return the rows of runs, folders or files, all of them read.

    Raises InputError if there is no row, or with `strict` if a row is bad.
    """
    table = Table(find_source(paths), codes).read_all()
    if strict and table.bad:
        raise RowError(table.bad[0])
    return table
