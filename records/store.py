"""Append-only JSONL: a stage can be stopped at any byte and run again.

Rows are appended one by one, each with an id that its content fixes. A last line that was torn by a kill is cut off
when the file is opened again. A whole line without its newline gets one. A row with an id that is already there
replaces the earlier one for readers, and the earlier one is removed when the stage ends.
"""

import filecmp
import os
from collections.abc import Callable, Container, Iterable, Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Generic, TypeVar

import msgspec

from console.again import StartAgain
from console.errors import EngineError, InputError, JudgeError, RowError
from console.reading import being_read, lines_up_to
from console.writing import DiskErrors, check_writable, make_folder, remove_empty
from records.disk.index import RowIndex
from records.disk.locked import locked, repair_end
from records.files import checked_file
from records.leftovers import remove_leftovers, temporary_path
from records.rows import Identified

RowT = TypeVar("RowT")
StoredT = TypeVar("StoredT", bound=Identified)

ENDINGS = (KeyboardInterrupt, JudgeError, EngineError)
"""Early ends of a stage that leave a file which can be put in order, unlike a failure of the disk or the program."""


class Done(Set[str]):
    """The ids of a store's rows that are not to be done again."""

    def __init__(self, rows: RowIndex) -> None:
        self._rows = rows

    def __contains__(self, row_id: object) -> bool:
        return self._rows.is_done(row_id)

    def __iter__(self) -> Iterator[str]:
        return self._rows.done()

    def __len__(self) -> int:
        return self._rows.n_done()


class Store(Generic[StoredT]):
    """An append-only JSONL file of rows of one type that have an `id`.

    Use it as a context manager. Raises StoreError if the file cannot be written, for example on a full disk.
    """

    def __init__(
        self,
        path: Path,
        row_type: type[StoredT],
        *,
        keep: Callable[[StoredT], bool] = lambda row: True,
        fresh: bool = False,
    ) -> None:
        """Open `path`, repair its end, and index its rows. Those for which `keep` is false are to be done again.

        With `fresh` an earlier file is set aside under a numbered name.
        """
        self.path = path
        self._row_type = row_type
        self._keep = keep
        check_writable(path)
        self._made = make_folder(path.parent)
        if fresh:
            set_aside(path)
        self._is_new = not path.exists()
        with DiskErrors(path):
            self._file = locked(path)
        try:
            with DiskErrors(path):
                remove_leftovers(path.parent)
                repair_end(path)  # only under the lock: another process may be within a row
            self._index()
        except BaseException:
            self._file.close()
            raise

    def _index(self) -> None:
        self._rows = RowIndex()  # where the rows begin, not the rows: they may be more than fit in memory
        self._has_replaced = False  # whether the file has rows that later ones replace
        for offset, row in _located_rows(self.path, self._row_type):
            self._has_replaced |= row.id in self._rows
            self._rows.put(row.id, offset, is_done=self._keep(row))
        self.ids = Done(self._rows)
        """The ids of the rows that are done."""
        self._end = self.path.stat().st_size

    def __enter__(self) -> "Store[StoredT]":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if self.is_empty and (kind is StartAgain or (kind is not None and self._is_new)):
                self.path.unlink(missing_ok=True)  # nothing was made, or the rows will have another name
                remove_empty(self._made)
            elif self._has_replaced and (kind is None or (isinstance(kind, type) and issubclass(kind, ENDINGS))):
                self._rewrite(lambda offset, row: self._rows.offset(row.id) == offset)
                self._index()
        finally:
            self._file.close()

    def __contains__(self, row_id: str) -> bool:
        return row_id in self.ids

    @property
    def is_empty(self) -> bool:
        """Whether there is no row, done or not."""
        return self._end == 0

    def known_ids(self) -> Iterator[str]:
        """Yield the ids of all rows, of those too that are to be done again."""
        return iter(self._rows)

    def append(self, row: StoredT) -> None:
        """Write `row` at the end and hand it to the operating system at once."""
        rest = line = msgspec.json.encode(row) + b"\n"
        with DiskErrors(self.path):
            while rest:  # a nearly full disk takes a part first
                rest = rest[self._file.write(rest) :]
        self._has_replaced |= row.id in self._rows
        self._rows.put(row.id, self._end, is_done=True)
        self._end += len(line)

    def is_finished(self, row: StoredT) -> bool:
        """Return whether a row is done, and the next run does not ask for it again."""
        return self._keep(row)

    def unfinished(self, ids: Iterable[str]) -> dict[str, StoredT]:
        """Return the last rows with `ids` that are there but are to be done again."""
        return {row.id: row for row in self.chosen(row_id for row_id in dict.fromkeys(ids) if row_id not in self.ids)}

    def move_out(self, ids: Iterable[str], aside: Path) -> None:
        """Move the rows with `ids` to the file `aside`. A stop at any time leaves each of them in one file or both."""
        moved = set(ids)
        with Store(aside, self._row_type) as others:
            for row in self.chosen(moved):
                others.append(row)
            with DiskErrors(aside):
                os.fsync(others._file.fileno())  # before they go from this file
        self._rewrite(lambda _, row: row.id not in moved)
        self._index()

    def _rewrite(self, stays: Callable[[int, StoredT], bool]) -> None:
        """Replace the file by one with the unchanged rows for which `stays(offset, row)` is true, and lock it too."""

        def lines() -> Iterator[bytes]:
            with self.path.open("rb") as source:
                for offset, row in _located_rows(self.path, self._row_type):
                    if stays(offset, row):
                        # Bytes, not the decoded row: it may have fields that this version does not know.
                        source.seek(offset)
                        yield source.readline()

        self._put(lines())

    def replace_all(self, rows: Iterable[StoredT]) -> None:
        """Replace all rows by `rows`, in one step. They may be made of the store's own."""
        self._put(msgspec.json.encode(row) + b"\n" for row in rows)
        self._index()

    def _put(self, lines: Iterable[bytes]) -> None:
        temporary = temporary_path(self.path)
        with DiskErrors(self.path):
            try:
                with temporary.open("wb") as file:
                    file.writelines(lines)
                    file.flush()
                    os.fsync(file.fileno())
                # Locked before the rename, so that no process can open the new file without finding it locked.
                renamed = locked(temporary)
                temporary.replace(self.path)
            finally:
                temporary.unlink(missing_ok=True)
        self._file.close()
        self._file = renamed

    def take_in(self, rows: Iterable[StoredT]) -> None:
        """Append those of `rows` that are not done here, one of each id. Rows that are to be done again stay so."""
        for row in rows:
            if row.id not in self.ids:
                self.append(row)
        with DiskErrors(self.path):
            os.fsync(self._file.fileno())  # before the caller removes the place they came from
        self._index()

    def take_back(self, ids: Container[str], aside: Path) -> int:
        """Move the rows of `aside` with `ids` that are not here to this file, and return their number.

        A stop at any time leaves each of them in one file or both.
        """
        n = 0
        with Store(aside, self._row_type) as others:
            known = [row_id for row_id in others.known_ids() if row_id in ids]
            for row in others.chosen(known):
                if row.id not in self._rows:
                    self.append(row)
                    n += 1
            if known:
                with DiskErrors(self.path):
                    os.fsync(self._file.fileno())  # before they go from the other file
                others._rewrite(lambda _, row: row.id not in ids)
                others._index()
                if others.is_empty:
                    aside.unlink(missing_ok=True)
        if n:
            self._index()  # some of them may be there to be done again
        return n

    def rows(self) -> Iterator[StoredT]:
        """Yield every row in file order."""
        return read_rows(self.path, self._row_type)

    def latest(self) -> Iterator[StoredT]:
        """Yield one row per id, the last one written, in file order and in the same memory for a file of any length."""
        for offset, row in _located_rows(self.path, self._row_type):
            if self._rows.offset(row.id) == offset:
                yield row

    def chosen(self, ids: Iterable[str]) -> Iterator[StoredT]:
        """Yield the last row with each of `ids` that there is, in that order."""
        decoder = msgspec.json.Decoder(self._row_type)
        with self.path.open("rb") as file:
            for row_id in ids:
                if (offset := self._rows.offset(row_id)) is not None:
                    file.seek(offset)
                    yield decoder.decode(file.readline())


def read_rows(path: Path, row_type: type[RowT]) -> Iterator[RowT]:
    """Yield the rows of a JSONL file that this project wrote.

    Raises RowError, naming the line, if one is not such a row.
    """
    return (row for _, row in _located_rows(path, row_type))


def opened(path: Path) -> IO[bytes]:
    """Return a file that this project wrote, open for reading. Raises InputError if it cannot be."""
    try:
        return checked_file(path).open("rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None


def _located_rows(path: Path, row_type: type[RowT]) -> Iterator[tuple[int, RowT]]:
    decoder = msgspec.json.Decoder(row_type)
    offset = 0
    with being_read(path), opened(path) as file:
        for number, line in enumerate(lines_up_to(file, path), start=1):
            try:
                yield offset, decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise RowError(
                    f"{path}:{number}: not a {row_type.__name__} row: {error}; mend the line or take it out, or set "
                    "the whole file aside with --fresh"
                ) from None
            offset += len(line)


def latest(rows: Iterator[StoredT]) -> list[StoredT]:
    """Return one row per id, the last one written, in the order in which the ids first came."""
    return list({row.id: row for row in rows}.values())


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write a whole file so that it is there complete or not at all."""
    with _whole(path, Path.replace) as file:
        file.write(data.encode() if isinstance(data, str) else data)


def set_aside(path: Path) -> None:
    """Rename `path`, a file or a folder, to the first free `path.N`. Nothing is ever deleted.

    Raises StoreError if it cannot be, or is neither.
    """
    if not path.exists():
        return
    check_writable(path, folder=path.is_dir())
    number = 1
    while (aside := path.with_name(f"{path.name}.{number}")).exists():
        number += 1
    with DiskErrors(path):
        path.rename(aside)


def replace_apart(temporary: Path, path: Path) -> None:
    """Put a file in its place. An earlier one with other content is set aside under a numbered name."""
    if path.is_file() and not filecmp.cmp(temporary, path, shallow=False):
        set_aside(path)
    temporary.replace(path)


def write_rows(path: Path, rows: Iterable[Any], *, apart: bool = False) -> None:
    """Write rows one by one so that the whole file is there or nothing.

    An earlier file is replaced, or with `apart` set aside if it has other content.
    """
    with _whole(path, replace_apart if apart else Path.replace) as file:
        for row in rows:
            file.write(msgspec.json.encode(row) + b"\n")


@contextmanager
def _whole(path: Path, put: Callable[[Path, Path], object]) -> Iterator[IO[bytes]]:
    """Yield a temporary file that `put` moves to `path` if nothing fails."""
    check_writable(path)
    make_folder(path.parent)
    temporary = temporary_path(path)
    with DiskErrors(path):
        remove_leftovers(path.parent)
        try:
            with temporary.open("wb") as file:
                yield file
                file.flush()
                # Without this, a power cut may keep the new name and lose the content.
                os.fsync(file.fileno())
            put(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
