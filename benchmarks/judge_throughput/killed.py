"""What a runner leaves on disk when it is killed."""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

MARK = re.compile(rb"call-(\d{8})")
"""How the replies name the call that they answer."""


def n_stored(folder: Path) -> int:
    """Return how many different replies the files of a folder hold, those of zip files included."""
    return len({number for text in _contents(folder) for number in MARK.findall(text)})


def _contents(folder: Path) -> Iterator[bytes]:
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        yield path.read_bytes()
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                yield from (archive.read(name) for name in archive.namelist())
