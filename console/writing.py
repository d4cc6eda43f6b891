"""Checks that a path can be written before anything is paid for, with one line that names the path and the reason."""

import errno
import os
import stat
import typing
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from console.errors import StoreError

KEPT = "what was written before is kept; run the same command again to resume"
REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), f"free some space; {KEPT}"),
    errno.EFBIG: f"free some space, or let files be larger (ulimit -f); {KEPT}",
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM), "you may not write there; give another path, or change its permissions"
    ),
    errno.EROFS: "give a path on another disk",
    **dict.fromkeys((errno.ENOTDIR, errno.EEXIST), "a file stands where a folder is needed; give another path"),
    errno.EISDIR: "name a file in it",
    **dict.fromkeys((errno.ENAMETOOLONG, errno.ELOOP), "give another path"),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), f"raise the limit of open files, ulimit -n; {KEPT}"),
    errno.EIO: f"the disk fails; {KEPT}",
    errno.ENOTEMPTY: "something is in it; give another path",
}


@dataclass(frozen=True)
class Output:
    """Marks a flag whose path is written."""

    folder: bool = False
    endings: tuple[str, ...] = ()
    """The allowed endings of the file's name, which decide how it is read. The first is advised. Empty allows any."""


OutFile = Annotated[Path, Output()]
"""A file that a command writes. `check_outputs` checks beforehand that it can be written."""
OutRows = Annotated[Path, Output(endings=(".jsonl", ".ndjson"))]
"""A file of rows, one JSON object a line."""
OutPicture = Annotated[Path, Output(endings=(".png",))]
"""A picture that a command draws."""
OutFolder = Annotated[Path, Output(folder=True)]
"""A folder that a command writes into."""
OTHER_KINDS = (".json", ".csv", ".tsv", ".parquet", ".txt", ".out", ".log", ".svg", ".pdf", ".jpg", ".jpeg")
"""Endings that the advised one replaces. Any other text after a dot is part of the name."""
SYSTEM = ("/dev/", "/proc/", "/sys/")
MEMORY_DISK = "/dev/shm/"
"""The one folder among them with ordinary files."""


def check_outputs(config: object) -> None:
    """Raise StoreError, naming the flag, if nothing can be written at a path that a flag names for output."""
    for name, hint in typing.get_type_hints(type(config), include_extras=True).items():
        for note in notes_on(hint):
            path = getattr(config, name)
            if isinstance(note, Output) and path is not None:
                try:
                    check_writable(path, folder=note.folder)
                    _check_ending(path, note.endings)
                except StoreError as error:
                    raise StoreError(f"--{name.replace('_', '-')} {error}") from None


def _check_ending(path: Path, endings: tuple[str, ...]) -> None:
    """Raise StoreError if a file's name says that something else is in it than what is written."""
    if not endings or path.suffix.lower() in endings:
        return
    stem = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    better = (
        stem.with_suffix(endings[0]) if stem.suffix.lower() in (*OTHER_KINDS, *endings) else Path(f"{stem}{endings[0]}")
    )
    what = "rows are written, one JSON object a line" if ".jsonl" in endings else "a picture is written"
    earlier = (
        f", after renaming what is there if you mean to go on with it: mv {path} {better}" if path.exists() else ""
    )
    raise StoreError(f"{path}: {what}, and such a file ends in {endings[0]}: give {better}{earlier}")


def notes_on(hint: Any) -> tuple[Any, ...]:
    """Return the annotations of a type, or of a type that it allows."""
    if typing.get_origin(hint) is Annotated:
        return (*hint.__metadata__, *notes_on(hint.__origin__))
    return tuple(note for argument in typing.get_args(hint) for note in notes_on(argument))


class DiskErrors:
    """Turns an operating system's error on `path` into a StoreError that says what to do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, StoreError):
            return
        if isinstance(error, OSError):
            raise StoreError(f"{self.path}: {said(error)}") from None
        if isinstance(error, ValueError) and "null byte" in str(error):
            raise StoreError(f"{str(self.path)!r}: no file can have this name") from None


def make_folder(folder: Path) -> list[Path]:
    """Make `folder` with those above it. Return those that were made, the deepest first.

    Raises StoreError if it cannot be made.
    """
    with DiskErrors(folder):
        missing = [place for place in (folder, *folder.parents) if not place.exists()]
        folder.mkdir(parents=True, exist_ok=True)
    return missing


def remove_empty(folders: list[Path]) -> None:
    """Remove those of `folders` that are empty, the deepest first."""
    for folder in folders:
        with suppress(OSError):  # there is something in it, or it is gone
            folder.rmdir()


def check_writable(path: Path, *, folder: bool = False) -> None:
    """Raise StoreError if no file, or with `folder` no folder, can be written at `path`. Nothing is made.

    Only plain files are written. Writing to a pipe would wait, a device takes everything or nothing, and the
    rename that puts a file in its place would remove the device.
    """
    with DiskErrors(path):
        absolute = os.path.abspath(path)
        if absolute.startswith(SYSTEM) and not absolute.startswith(MEMORY_DISK):
            raise StoreError(
                f"{path}: a file of the system's own; give the path of a plain {'folder' if folder else 'file'}"
            )
        mode = _mode(path)
        if mode is not None and folder and not stat.S_ISDIR(mode):
            raise StoreError(f"{path}: is no folder, and one is needed there; give another path")
        if mode is not None and not folder and stat.S_ISDIR(mode):
            raise StoreError(f"{path}: is a folder; name a file in it")
        if mode is not None and not folder and not stat.S_ISREG(mode):
            raise StoreError(f"{path}: is no plain file but {kind_of(mode)}; give the path of a plain file")
        _check_parent(path)


def _check_parent(path: Path) -> None:
    """Raise OSError or StoreError if nothing new can be put beside `path`, or above it if its folder does not exist."""
    place = path if path.is_dir() else path.absolute().parent
    while (mode := _mode(place)) is None:
        place = place.parent
    if not stat.S_ISDIR(mode):
        raise StoreError(f"{path}: {place} is no folder; {REMEDIES[errno.ENOTDIR]}")
    if not os.access(place, os.W_OK | os.X_OK):
        read_only = os.statvfs(place).f_flag & os.ST_RDONLY
        code = errno.EROFS if read_only else errno.EACCES
        raise StoreError(f"{path}: {place}: {os.strerror(code)}: {REMEDIES[code]}")


def _mode(path: Path) -> int | None:
    """Return the kind and permissions of the target of a path, or None if there is nothing."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        return None


def kind_of(mode: int) -> str:
    """Return in words what a file is that is neither plain nor a folder."""
    if stat.S_ISFIFO(mode):
        return "a pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


def said(error: OSError) -> str:
    """Return the operating system's message and its remedy."""
    what = error.strerror or str(error)
    remedy = REMEDIES.get(error.errno or 0)
    return f"{what}: {remedy}" if remedy else what
