"""Temporary files and folders of killed processes: their names say whose they are, so that others remove them."""

import os
import re
import shutil
import socket
from hashlib import blake2b
from pathlib import Path

ENDING = ".tmp"
OWNER = re.compile(r"\.(?:([0-9a-f]{6})-)?(\d+)\.tmp$")
"""The end of a temporary name: the machine, if it is named, and the process."""


def temporary_path(path: Path, part: str = "") -> Path:
    """Return the name under which this process writes the file `path`, in its own folder, before it is renamed."""
    return path.with_name(f".{path.name}{part}.{_machine()}-{os.getpid()}{ENDING}")


def temporary_folder(folder: Path) -> Path:
    """Return the name under which this process makes `folder` before it is renamed."""
    return folder.with_name(f"{folder.name}.{_machine()}-{os.getpid()}{ENDING}")


def remove_leftovers(folder: Path, *, below: bool = False) -> list[Path]:
    """Remove what killed processes of this machine left in `folder`, with `below` in all its folders, and return it.

    Files of a living process, or of another machine on a shared disk, stay.
    """
    if not folder.is_dir():
        return []
    temporary = folder.rglob(f"*{ENDING}") if below else folder.glob(f"*{ENDING}")
    leftovers = [path for path in temporary if _is_left(path)]
    for path in leftovers:
        remove(path)
    return leftovers


def remove(path: Path) -> None:
    """Remove a file or a folder, which another process may remove at the same time."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _is_left(path: Path) -> bool:
    owner = OWNER.search(path.name)
    if owner is None or owner[1] not in (None, _machine()):  # None in names of earlier versions
        return False
    return not process_lives(int(owner[2]))


def process_lives(process: int) -> bool:
    """Return whether a process of this machine lives."""
    try:
        os.kill(process, 0)  # signal 0 is not sent, only asked whether it could be
    except ProcessLookupError:
        return False
    except OverflowError:  # no system has such a process
        return False
    except OSError:  # it is another user's
        return True
    return not _has_ended(process)


def _has_ended(process: int) -> bool:
    """Return whether a process has ended and only its parent has not looked yet, as far as the system tells."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:  # no such folder on this system
        return False
    return stat.rpartition(")")[2].split()[:1] == ["Z"]  # the name before it may have spaces and brackets


def _machine() -> str:
    return blake2b(socket.gethostname().encode(), digest_size=3).hexdigest()
