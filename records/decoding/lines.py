"""The lines of a file, whatever it is packed in: gzip, a byte order mark, UTF-16; and one line of JSON as a value."""

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import msgspec

from console.errors import InputError

GZIP = b"\x1f\x8b"
UTF8_MARK = b"\xef\xbb\xbf"
HEAD_BYTES = 4
DAMAGED = (OSError, EOFError, zlib.error, UnicodeError)
"""What reading a damaged file raises."""


def lines_of(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file as UTF-8 with their ends, without byte order marks.

    A file that is gzip by its ending or its first bytes is unpacked, UTF-16 is decoded. Raises InputError, naming the
    file, where it cannot be opened or is damaged; the lines before the damage are yielded first.
    """
    try:
        with open_bytes(path) as file:
            for line in _decoded(file):
                yield line.removeprefix(UTF8_MARK)
    except DAMAGED as error:
        raise InputError(f"{path}: cannot be read: {_reason(error)}") from None


def open_bytes(path: Path) -> IO[bytes]:
    """Return the file's bytes, unpacked where they are gzip; raises OSError."""
    file = path.open("rb")
    if path.suffix.lower() == ".gz" or file.peek(2)[:2] == GZIP:
        return io.BufferedReader(_Unpacked(file))
    return file


def is_plain(path: Path) -> bool:
    """Return whether the file's own bytes are lines of UTF-8, so that a line can be found again by its offset.

    Raises InputError where it cannot be opened.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {_reason(error)}") from None
    return path.suffix.lower() != ".gz" and not head.startswith(GZIP) and _encoding(head) is None


def decode_line(line: bytes) -> Any:
    """Return the value of one line of JSON, or of a whole document.

    NaN and Infinity are read as Python's own reader does: whether they may stand there is up to who uses the field.
    Raises InputError where it is not JSON.
    """
    line = line.removeprefix(UTF8_MARK)
    try:
        return msgspec.json.decode(line)
    except RecursionError:
        raise InputError("nested too deeply") from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass
    try:
        return json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8: byte 0x{line[error.start]:02X} at {error.start}") from None
    except RecursionError:
        raise InputError("nested too deeply") from None
    except ValueError as error:  # also a number of more than 4,300 digits
        raise InputError(f"not JSON: {error}") from None


class _Unpacked(gzip.GzipFile):
    """A gzip file that closes the file below it."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(fileobj=file, mode="rb")
        self._below = file

    def close(self) -> None:
        super().close()
        self._below.close()


def _decoded(file: IO[bytes]) -> Iterator[bytes]:
    head = file.peek(HEAD_BYTES)[:HEAD_BYTES]  # type: ignore[attr-defined]
    encoding = _encoding(head)
    if encoding is None:
        yield from file
        return
    with io.TextIOWrapper(file, encoding=encoding, newline="\n") as text:
        for line in text:
            yield line.encode()


def _encoding(head: bytes) -> str | None:
    """Return the name of an encoding other than UTF-8 that a file's first bytes show, or None."""
    if len(head) < HEAD_BYTES:
        return None
    if head.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "utf-32"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if not head[1] and not head[3] and head[0]:
        return "utf-16-le"
    return "utf-16-be" if not head[0] and not head[2] and head[1] else None


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = " ".join(str(error).split())
    return f"damaged or cut off: {text}" if isinstance(error, EOFError | zlib.error) else text or type(error).__name__
