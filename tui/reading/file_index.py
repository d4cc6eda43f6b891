"""The rows of one file as numbers, with the place of each line, so that a body is read only if it is looked at."""

import json
import os
import tempfile
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import IO, Literal

import msgspec
import numpy as np

from console.errors import InputError, RowError
from console.reading import lines_up_to
from records.fields.labelled import Labels, check_codes
from records.fields.labels import Codes
from records.files import BadRows, check_sources, decode_record, is_indexed, read_records
from records.runs import ITERATION
from tui.reading.items import Item, item_of_record, items_of
from tui.reading.packed import DTYPE, Packer, Words

BATCH_ROWS = 5_000
BATCH_BYTES = 64 << 20
"""A batch ends with whichever comes first, so that the screen grows steadily with short rows and with long ones."""
EDGE_BYTES = 1 << 16
MOST_SAID = 100
State = Literal["same", "grown", "replaced", "gone"]
Told = Callable[[int, int], None]
"""Is told the bytes that are read and the bytes of the file."""


def _nobody(done: int, total: int) -> None:
    return None


@dataclass
class Edges:
    """Digests of the start and of the end of what was read, which tell a file that grew from another one."""

    head: str = ""
    tail: str = ""

    @classmethod
    def of(cls, fd: int, end: int) -> "Edges":
        """Return the digests of the first `end` bytes."""
        start = max(0, end - EDGE_BYTES)
        return cls(_digest(os.pread(fd, min(end, EDGE_BYTES), 0)), _digest(os.pread(fd, end - start, start)))


class FileIndex:
    """The rows of one file. It keeps the file open, so that its bodies are there even if it is deleted or replaced."""

    def __init__(self, path: Path, words: Words, codes: Codes | None = None) -> None:
        """Open `path`. Raises InputError if it cannot be read."""
        check_sources(path)
        self.path = path
        self.words = words
        self.codes = codes
        self._labels = Labels(path, codes)
        self.is_spilled = not is_indexed(path)
        """Whether the rows are no lines of the file itself, which is then written anew as lines, in a nameless file."""
        folder = ITERATION.fullmatch(path.parent.name) or ITERATION.fullmatch(path.stem)
        self.iteration = int(folder[1]) if folder else -1
        self.n_bad = 0
        self.bad: list[str] = []
        """What is wrong with the first bad rows, each with its line."""
        self.end = 0
        """The bytes that are read."""
        self.n_lines = 0
        self.torn = False
        """Whether the last line is not whole: a process is within it, or was killed there."""
        self.is_read = False
        """Whether all that was there is read."""
        self.edges = Edges()
        try:
            self._fd = _spill() if self.is_spilled else os.open(path, os.O_RDONLY)
            self._is_remote = not os.path.exists(path)  # a data set on the hub
            self._stat = os.fstat(self._fd) if self._is_remote else path.stat()
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from None
        self._closing = weakref.finalize(self, os.close, self._fd)

    def close(self) -> None:
        """Close the file."""
        self._closing()

    @property
    def size(self) -> int:
        """Return the bytes of the file when it was last looked at."""
        return self._stat.st_size

    @property
    def mtime_ns(self) -> int:
        """Return the time of the file's last change when it was last looked at."""
        return self._stat.st_mtime_ns

    def read(self, told: Told = _nobody) -> Iterator[np.ndarray]:
        """Yield the rows that are not read yet, in batches. Raises InputError if the file's labels need `codes`."""
        if self.end == 0 and self.codes is None and not self._is_ours():
            check_codes(self.path, self.codes)
        packer = Packer(self.words, self.iteration)
        if self.is_spilled:
            yield from self._spilled(packer, told)
        else:
            yield from self._lines(packer, told)
        self._labels.check()

    def _is_ours(self) -> bool:
        """Return whether the first row is one of ours, whose verdicts need no codes."""
        first = b"" if self.is_spilled else os.pread(self._fd, EDGE_BYTES, 0).partition(b"\n")[0]
        try:
            return b'"rubric"' in first or (b'"prompt_id"' in first and len(items_of(first)) == 1)
        except InputError:
            return False

    def _lines(self, packer: Packer, told: Told) -> Iterator[np.ndarray]:
        self._stat = os.fstat(self._fd)
        with open(self._fd, "rb", closefd=False) as file:
            file.seek(self.end)
            yield from self._from_here(file, packer, told)

    def _from_here(self, file: IO[bytes], packer: Packer, told: Told) -> Iterator[np.ndarray]:
        batch_from = self.end
        self.torn = False
        for line in lines_up_to(file, self.path):
            whole = line.endswith(b"\n")
            if not whole and not self._adds(line, packer, self.n_lines + 1, may_be_torn=True):
                self.torn = True
                break
            self.n_lines += 1
            if whole and line != b"\n":
                self._adds(line, packer, self.n_lines)
            self.end += len(line)
            if len(packer) >= BATCH_ROWS or self.end - batch_from >= BATCH_BYTES:
                told(self.end, self.size)
                yield packer.take()
                batch_from = self.end
        self.edges = Edges.of(self._fd, self.end)
        self.is_read = True
        told(self.end, self.size)
        yield packer.take()

    def _adds(self, line: bytes, packer: Packer, number: int, *, may_be_torn: bool = False) -> bool:
        """Add the rows of a line. Return False for a line without a newline that is no whole row."""
        try:
            items = items_of(line, self.codes, self._labels) if not line.isspace() else []
        except InputError as error:
            if may_be_torn:
                return False
            self._bad_row(f"{self.path}:{number}: {error}")
            return True
        for place, item in enumerate(items):
            packer.add(item, self.end, len(line), number, place)
        return True

    def _spilled(self, packer: Packer, told: Told) -> Iterator[np.ndarray]:
        if self.end:
            return  # it cannot grow
        bad = _Collected(self._bad_row)
        with open(self._fd, "wb", closefd=False) as file:
            yield from self._written_to(file, packer, told, bad)
        self.is_read = True
        yield packer.take()

    def _written_to(self, file: IO[bytes], packer: Packer, told: Told, bad: BadRows) -> Iterator[np.ndarray]:
        for where, record in read_records(self.path, bad):
            self.n_lines += 1
            line = _line_of(record)
            try:
                items = items_of(line, self.codes, self._labels)
            except InputError as error:
                self._bad_row(f"{where}: {error}")
                continue
            for place, item in enumerate(items):
                packer.add(item, self.end, len(line), self.n_lines, place)
            file.write(line)
            self.end += len(line)
            if len(packer) >= BATCH_ROWS:
                file.flush()
                told(self.end, max(self.end, self.size))
                yield packer.take()

    def _bad_row(self, message: str) -> None:
        self.n_bad += 1
        if len(self.bad) < MOST_SAID:
            self.bad.append(message)

    def state(self) -> State:
        """Return what became of the file since it was read."""
        if self._is_remote:
            return "same"
        try:
            now = self.path.stat()
        except OSError:
            return "gone"
        if not os.path.samestat(now, self._stat) or now.st_size < (self.size if self.is_spilled else self.end):
            return "replaced"
        if (now.st_size, now.st_mtime_ns) == (self._stat.st_size, self._stat.st_mtime_ns):
            return "same"
        if self.is_spilled:
            return "replaced"
        if Edges.of(self._fd, self.end) != self.edges:
            return "replaced"
        return "grown"

    def line(self, offset: int, length: int) -> bytes:
        """Return the bytes of one line. Raises InputError if the file was cut off since it was read."""
        try:
            data = os.pread(self._fd, length, offset)
        except (OSError, ValueError) as error:
            raise InputError(f"{self.path}: cannot be read: {error}") from None
        if len(data) < length:
            raise InputError(f"{self.path}: was cut off since it was opened: this row is gone")
        return data

    def item(self, row: np.void) -> tuple[Item, dict[str, object]]:
        """Return the verdict of a row and its whole record. Raises InputError if the file has changed."""
        data = self.line(int(row["offset"]), int(row["length"]))
        try:
            record = decode_record(data)
            return item_of_record(record, int(row["place"]), self.codes), record
        except InputError:
            raise InputError(f"{self.path}: has changed since it was opened: this row is gone") from None


def _spill() -> int:
    """Return a new file without a name, which goes with this process."""
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


class _Collected(BadRows):
    """Hands on what is wrong with a row, and prints nothing."""

    def __init__(self, add: Callable[[str], None]) -> None:
        super().__init__(quiet=True)
        self._add = add

    def add(self, error: RowError) -> None:
        """Count a bad row."""
        self.n_bad += 1
        self._add(str(error))


def no_rows() -> np.ndarray:
    """Return a table without rows."""
    return np.empty(0, dtype=DTYPE)


def _line_of(record: object) -> bytes:
    try:
        return msgspec.json.encode(record) + b"\n"
    except (UnicodeEncodeError, TypeError, ValueError, RecursionError):  # half a surrogate pair, a date of a Parquet
        return json.dumps(record, default=str).encode() + b"\n"


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=8).hexdigest()
