"""Files that are appended to: one process at a time, with an end that a kill may have torn."""

import fcntl
import io
import os
import time
from pathlib import Path
from typing import IO

import msgspec

from console import reading
from console.errors import StoreError

LOOK_S = 0.05
"""Seconds that `in_use` may hold the lock."""


def repair_end(path: Path) -> None:
    """Give a whole last row the newline that it lacks, and cut off a torn one: the process that wrote it was killed.

    A whole row without a newline is also what editors and other programs leave. Whatever no kill can have left is not
    touched: reading the file names it.
    """
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        if size == 0:
            return
        file.seek(size - 1)
        if file.read(1) == b"\n":
            return
        start = _last_newline(file, size) + 1
        if size - start > reading.MOST_BYTES_A_LINE:
            return  # no row of this project's
        file.seek(start)
        line = file.read()
        if _is_whole(line):
            file.write(b"\n")
        elif line.lstrip()[:1] in (b"", b"{", b"\0"):  # a torn row, or what a power cut leaves of one
            file.truncate(start)


def _is_whole(line: bytes) -> bool:
    """Return whether `line` is complete JSON. A cut object never is."""
    try:
        msgspec.json.decode(line)
    except (UnicodeDecodeError, RecursionError):  # damage of another kind
        return True
    except msgspec.DecodeError:
        return False
    return True


def _last_newline(file: IO[bytes], end: int) -> int:
    """Return the offset of the last newline before `end`, or -1."""
    step = 1 << 16  # backwards in blocks, because the file may be longer than the memory
    while end > 0:
        start = max(0, end - step)
        file.seek(start)
        place = file.read(end - start).rfind(b"\n")
        if place >= 0:
            return start + place
        end = start
    return -1


def locked(path: Path) -> io.FileIO:
    """Return `path` open for appending, under a lock.

    Raises StoreError if another process has the lock.
    """
    while True:
        file = path.open("ab", buffering=0)  # unbuffered: a row is with the operating system once it is written
        try:
            _lock(file, path)
            # Between opening and locking, another process may have put a new file in this one's place. The lock would
            # then be on a file that has no name any more, and rows would be lost in it.
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        except FileNotFoundError:
            pass
        except BaseException:
            file.close()
            raise
        file.close()


def _lock(file: io.FileIO, path: Path) -> None:
    # The lock goes with the process, kill -9 included, so it never has to be cleaned up.
    for pause_s in (LOOK_S, None):
        try:
            # Not lockf: its lock is lost as soon as this process closes any descriptor of it, as readers do.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if pause_s is not None:
                time.sleep(pause_s)  # someone may only have looked whether the file is in use
    raise StoreError(f"{path}: another process is writing to it; wait for it or give another --out")


def in_use(path: Path) -> bool:
    """Return whether a process has the store at `path` open."""
    try:
        with path.open("rb") as file:
            # Shared, so that two processes may look at once. It ends with the file, at the end of this block.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
