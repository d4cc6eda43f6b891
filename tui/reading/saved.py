"""An index on disk: beside its file, or in the user's cache if that folder is not writable.

It is dropped if the file is another one, and extended if rows were appended. Anything that is wrong with it only means
that the file is read again.
"""

import mmap
import os
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np

from console.errors import StoreError
from records.inputs import path_digest
from records.store import write_atomic
from tui.reading.file_index import Edges, FileIndex
from tui.reading.packed import DTYPE, FIELDS, WORDS, Words

VERSION = 2
MAGIC = b"judgeloop index\n"
LEAST_BYTES = 8 << 20
"""A smaller file is read in less time than it takes to leave a file beside it that somebody wonders about."""


class _Head(msgspec.Struct):
    """What an index says of itself, as one line of JSON before its rows."""

    version: int
    fields: list[tuple[str, str]]
    end: int
    size: int
    mtime_ns: int
    head: str
    tail: str
    iteration: int
    n_lines: int
    n_bad: int
    bad: list[str]
    torn: bool
    words: list[str]
    n_rows: int


def index_paths(path: Path) -> list[Path]:
    """Return the places of a file's index, the one beside it first."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "judgeloop" / "tui"
    return [path.with_name(f".{path.name}.index"), cache / f"{path.name[:80]}-{path_digest(path)}.index"]


def load(index: FileIndex) -> np.ndarray | None:
    """Return the rows of a saved index that still fits its file, and set `index` to their end, or return None."""
    for path in index_paths(index.path):
        with suppress(OSError, ValueError, msgspec.MsgspecError):
            head, start = _head(path)
            if not _fits(head, index):
                continue
            rows = np.memmap(path, dtype=DTYPE, mode="c", offset=start, shape=(head.n_rows,))
            _take_over(index, head, rows)
            return rows
    return None


def save(index: FileIndex, rows: np.ndarray) -> Path | None:
    """Write the rows of a file that is worth it, and return the index's place, or None if there is none."""
    if index.is_spilled or index.size < LEAST_BYTES:
        return None
    head = msgspec.json.encode(
        _Head(
            VERSION, list(FIELDS), index.end, index.size, index.mtime_ns, index.edges.head, index.edges.tail,
            index.iteration, index.n_lines, index.n_bad, index.bad, index.torn, index.words.words, len(rows),
        )
    )  # fmt: skip
    start = _aligned(len(MAGIC) + len(head) + 1)
    data = (MAGIC + head + b"\n").ljust(start, b" ") + rows.tobytes()
    for path in index_paths(index.path):
        with suppress(StoreError):
            write_atomic(path, data)
            return path
    return None


def _aligned(n: int) -> int:
    return -(-n // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY


def _head(path: Path) -> tuple[_Head, int]:
    with path.open("rb") as file:
        if file.readline() != MAGIC:
            raise ValueError("no index")
        line = file.readline()
    return msgspec.json.decode(line, type=_Head), _aligned(len(MAGIC) + len(line))


def _fits(head: _Head, index: FileIndex) -> bool:
    """Return whether an index is of this file, as it is or before rows were appended."""
    stat = index.path.stat()
    if (head.version, head.fields) != (VERSION, list(FIELDS)) or head.iteration != index.iteration:
        return False
    if stat.st_size < head.end or (stat.st_size == head.size and stat.st_mtime_ns != head.mtime_ns):
        return False
    with index.path.open("rb") as file:
        return Edges.of(file.fileno(), head.end) == Edges(head.head, head.tail)


def _take_over(index: FileIndex, head: _Head, rows: np.ndarray) -> None:
    index.end, index.n_lines, index.n_bad, index.bad, index.torn = (
        head.end, head.n_lines, head.n_bad, head.bad, head.torn,
    )  # fmt: skip
    index.edges = Edges(head.head, head.tail)
    index.is_read = (index.size, index.mtime_ns) == (head.size, head.mtime_ns)
    codes = index.words.taken_from(Words(head.words))
    if not np.array_equal(codes, np.arange(len(codes))):  # files before this one have other words
        for name in WORDS:
            rows[name] = codes[rows[name]]
