"""What a runner leaves on disk when it is killed."""

import os
import re
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow

ZSTD = 93
"""The zip format's number for Zstandard, which Python's own module does not read before 3.14."""
NAME_LENGTH_AT = 26
"""Where a member's header has the lengths of its name and of what follows it, after which the data begin."""
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
                yield from (_member(archive, member) for member in archive.infolist())


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.compress_type != ZSTD:
        return archive.read(member)
    assert archive.fp is not None
    archive.fp.seek(member.header_offset + NAME_LENGTH_AT)
    n_name, n_extra = struct.unpack("<HH", archive.fp.read(4))
    archive.fp.seek(n_name + n_extra, os.SEEK_CUR)
    packed = pyarrow.BufferReader(archive.fp.read(member.compress_size))
    return bytes(pyarrow.CompressedInputStream(packed, "zstd").read())
