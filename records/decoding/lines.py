"""Reads the lines of a file in gzip, UTF-16 or with a byte order mark, and the value of one line of JSON."""

import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import msgspec

from console import reading
from console.errors import InputError
from console.reading import TOO_LONG_A_NUMBER, being_read, lines_up_to, pieces_up_to, size

GZIP = b"\x1f\x8b"
UTF8_MARK = b"\xef\xbb\xbf"
HEAD_BYTES = 4  # as long as the longest byte order mark, that of UTF-32
NAME_END = re.compile(rb'"[ \t\r\n]*:')
DAMAGED = (OSError, EOFError, zlib.error, UnicodeError)
"""The exceptions from reading a damaged file."""


def lines_of(path: Path, most: int | None = None) -> Iterator[bytes]:
    """Yield the lines of a file as UTF-8 with their ends, without byte order marks.

    A file that is gzip by its ending or its first bytes is unpacked, UTF-16 is decoded. Raises InputError, naming the
    file, if it cannot be opened, is damaged, or has a line of more than `most` bytes. The lines before the
    damage are yielded first.
    """
    return _read(path, lambda file: lines_up_to(file, path, most))


def pieces_of(path: Path) -> Iterator[bytes]:
    """Yield the same bytes in pieces: lines, of which a long one comes in several."""
    return _read(path, lambda file: pieces_up_to(file, path))


def _read(path: Path, pieces: "Callable[[IO[bytes] | _Utf8], Iterator[bytes]]") -> Iterator[bytes]:
    is_start = True
    try:
        with being_read(path), open_bytes(path) as packed, _decoded(packed) as file:
            for piece in pieces(file):
                # Of any line: files that were joined have marks in the middle.
                yield piece.removeprefix(UTF8_MARK) if is_start else piece
                is_start = piece.endswith(b"\n")
    except InputError:
        raise
    except DAMAGED as error:
        raise InputError(f"{path}: cannot be read: {_reason(error)}") from None


def text_of_file(path: Path, most: int | None = None) -> bytes:
    """Return a whole file as UTF-8, unpacked. Raises InputError if it has more than `most` bytes.

    None is MOST_BYTES_A_FILE.
    """
    return joined(path, lines_of(path, reading.MOST_BYTES_A_FILE if most is None else most), most)


def joined(path: Path, lines: Iterable[bytes], most: int | None = None) -> bytes:
    """Return the lines of a file that must be read whole as one. Raises InputError if they are too many."""
    most = reading.MOST_BYTES_A_FILE if most is None else most
    whole = io.BytesIO()  # grows in place: joining a list of lines needs twice the memory
    for line in lines:
        if whole.tell() + len(line) > most:
            raise InputError(
                f"{path}: has more than {size(most)}, and cannot be read row by row: write it as .jsonl, a row a line"
            )
        whole.write(line)
    return whole.getvalue()


def open_bytes(path: Path) -> IO[bytes]:
    """Return the file's bytes, unpacked if they are gzip. Raises OSError."""
    file = path.open("rb")
    if path.suffix.lower() == ".gz" or file.peek(2)[:2] == GZIP:  # peeking leaves the position at 0
        return io.BufferedReader(_Unpacked(file))  # lines come 1.5 times as fast as from GzipFile itself
    return file


def is_plain(path: Path) -> bool:
    """Return whether the file's own bytes are lines of UTF-8, so that a line can be found again by its offset.

    Raises InputError if it cannot be opened.
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
    Raises InputError if it is not JSON.
    """
    line = line.removeprefix(UTF8_MARK)
    try:
        value = msgspec.json.decode(line)  # several times faster than json, but knows no NaN and no Infinity
    except RecursionError:
        raise InputError("nested too deeply") from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass
    else:
        if isinstance(value, dict):
            _check_names(line, value)
        return value
    try:
        return json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8: byte 0x{line[error.start]:02X} at {error.start}") from None
    except RecursionError:
        raise InputError("nested too deeply") from None
    except json.JSONDecodeError as error:
        raise InputError(f"not JSON: {error}") from None
    except ValueError:
        raise InputError(f"not JSON: {TOO_LONG_A_NUMBER}") from None


def _check_names(line: bytes, value: dict[str, Any]) -> None:
    """Raise InputError if a row has a field twice with different values, of which a decoder takes the last."""
    if len(NAME_END.findall(line)) == _n_fields(value):
        return  # the usual case, in one pass: otherwise a text may have it too
    if not any(line.count(b'"' + name.encode("utf-8", "surrogatepass") + b'"') > 1 for name in value):
        return  # else the name may also stand further inside
    whole: list[tuple[str, Any]] = []

    def fields(found: list[tuple[str, Any]]) -> dict[str, Any]:
        whole[:] = found  # the object around all others comes last
        return dict(found)

    try:
        json.loads(line, object_pairs_hook=fields)
    except RecursionError:
        raise InputError("nested too deeply") from None
    last = dict(whole)
    # `value == value` is false for NaN, which differs from itself and so is no second value.
    if twice := next((name for name, value in whole if value != last[name] and value == value), None):
        raise InputError(f"the field '{twice}' is there twice, with different values: keep one")


def _n_fields(value: Any) -> int:
    """Return the number of fields of an object and of all objects inside it."""
    n, waiting = 0, [value]
    while waiting:
        container = waiting.pop()
        if isinstance(container, dict):
            n += len(container)
            container = container.values()
        waiting += [inner for inner in container if isinstance(inner, dict | list)]
    return n


class _Unpacked(gzip.GzipFile):
    """A gzip file that closes the file below it."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(fileobj=file, mode="rb")
        self._below = file

    def close(self) -> None:
        super().close()
        self._below.close()  # GzipFile leaves a file that it was given open


class _Utf8:
    """The lines of a file of another encoding."""

    def __init__(self, file: IO[bytes], encoding: str) -> None:
        self._text = io.TextIOWrapper(file, encoding=encoding, newline="\n")  # without it a \r\n would become \n

    def __enter__(self) -> "_Utf8":
        return self

    def __exit__(self, *_: object) -> None:
        self._text.close()

    def readline(self, most: int) -> bytes:
        return self._text.readline(most).encode()


def _decoded(file: IO[bytes]) -> "IO[bytes] | _Utf8":
    encoding = _encoding(file.peek(HEAD_BYTES)[:HEAD_BYTES])  # type: ignore[attr-defined]
    return file if encoding is None else _Utf8(file, encoding)


def _encoding(head: bytes) -> str | None:
    """Return the name of an encoding other than UTF-8 that a file's first bytes show, or None."""
    if len(head) < HEAD_BYTES:
        return None
    # Before UTF-16, whose mark is the first half of this one.
    if head.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "utf-32"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    # No mark. A table or JSON begins with ASCII, of which UTF-16 makes every other byte 0.
    if not head[1] and not head[3] and head[0]:
        return "utf-16-le"
    return "utf-16-be" if not head[0] and not head[2] and head[1] else None


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = " ".join(str(error).split())
    return f"damaged or cut off: {text}" if isinstance(error, EOFError | zlib.error) else text or type(error).__name__
