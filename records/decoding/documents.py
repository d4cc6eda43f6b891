"""Reads one JSON document as rows: a list of objects, or an object that holds one."""

import io
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from console import reading
from console.errors import InputError, RowError
from console.reading import TOO_LONG_A_NUMBER, size
from records.decoding.bad_rows import BadRows
from records.decoding.lines import decode_line

ENVELOPES = ("data", "rows", "examples", "records", "items", "train", "validation", "test")
"""Names under which people keep the one list of a JSON object."""
# A whole text comes first, so that brackets and commas in it are no tokens. A quote alone is one that never closes.
TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["\[\]{},]', re.DOTALL)
SHOWN_FIELDS = 8
NEWLINE = b"\n"
CHUNK = 1 << 16
MOST_DEEP = 100_000
"""The most brackets that may be open at once. Rows that are nested a thousandfold are still read, as bad rows."""


def is_document(line: bytes) -> bool:
    """Return whether `line`, the first of a file, opens a JSON document rather than being a row of JSON lines."""
    line = line.strip()
    if not line.startswith((b"[", b"{")):
        return False
    if line.startswith(b"["):
        try:
            # A list of anything else than objects is a bad row of JSON lines, which may have good ones below it.
            return all(raw.startswith(b"{") for raw in map(bytes, msgspec.json.decode(line, type=list[msgspec.Raw])))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):  # over several lines, or damaged
            return True
    try:
        decode_line(line)
    except InputError:  # an object with its fields below
        return line.endswith((b"{", b"[", b","))
    return False


def read_list(path: Path, chunks: Iterable[bytes], bad: BadRows) -> Iterator[tuple[str, Any]]:
    """Yield the rows of a JSON list, of which only one is in memory. A row that is not JSON is a bad row.

    Raises InputError, after the rows before it, where the list is cut off or something follows it.
    """
    for number, element in enumerate(_elements(path, chunks), start=1):
        try:
            row = decode_line(element)
        except InputError as error:
            bad.add(RowError(f"{path}: row {number}: {error}"))
            continue
        yield f"{path}: row {number}", row


def read_document(path: Path, data: bytes) -> Iterator[tuple[str, Any]]:
    """Yield the rows of the one list in an object that has a usual name such as `data`.

    Raises InputError for a document that is cut off or is no such object.
    """
    document = _decoded(path, data)
    if not isinstance(document, dict):
        raise InputError(f"{path}: expected a JSON list of objects, found {type(document).__name__}")
    for number, row in enumerate(_inside(path, document), start=1):
        yield f"{path}: row {number}", row


def _elements(path: Path, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the bytes of each element of a JSON list, by its brackets, so that a bad one does not take the rest.

    Not by a parser such as ijson: it ends at the first NaN or broken row, and takes the last of a name that is there
    twice. Raises InputError, naming the line, if the brackets do not close.
    """
    rest = iter(chunks)
    data, n_lines, n_elements = b"", 0, 0  # `data` begins with an element, on line `n_lines` from 0
    depth = start = place = 0
    while chunk := _next(rest, len(data)):
        data += chunk
        for token in TOKEN.finditer(data, place):
            sign = token.group()
            if sign == b'"':
                break  # a text that does not end in these bytes: it is looked at again, with more of them
            place = token.end()
            if sign in (b"[", b"{"):
                depth += 1
                if depth > MOST_DEEP:
                    line = n_lines + data.count(NEWLINE, 0, place) + 1
                    raise InputError(f"{path}:{line}: not JSON: nested too deeply")
                start = place if depth == 1 else start
            elif sign in (b"]", b"}"):
                depth -= 1
            if (depth == 1 and sign == b",") or depth == 0:
                last = data[start : token.start()]
                # An empty list has no element. A comma before the end of another leaves an empty one, a bad row.
                if depth or n_elements or last.strip():
                    n_elements += 1
                    yield last
                start = place
            if depth == 0:
                line = n_lines + data.count(NEWLINE, 0, token.start()) + 1
                if data[place:].strip() or any(map(bytes.strip, rest)):
                    raise InputError(f"{path}:{line}: not JSON: something follows the end of the list")
                return
        n_lines += data.count(NEWLINE, 0, start)
        data, place, start = data[start:], place - start, 0
        if len(data) > reading.MOST_BYTES_A_LINE + CHUNK:
            raise InputError(
                f"{path}:{n_lines + 1}: this row has more than {size(reading.MOST_BYTES_A_LINE)}; is it "
                "the file that you mean?"
            )
    line = n_lines + data.rstrip().count(NEWLINE) + 1
    raise InputError(f"{path}:{line}: not JSON: the list is not closed, so the file is cut off or damaged")


def _next(chunks: Iterator[bytes], least: int) -> bytes:
    """Return the next bytes, as many as there are already, so that a long text is looked at a few times only."""
    taken = io.BytesIO()
    for chunk in chunks:
        taken.write(chunk)
        if taken.tell() >= max(least, CHUNK):
            break
    return taken.getvalue()


def _decoded(path: Path, data: bytes) -> Any:
    try:
        return json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8: byte 0x{data[error.start]:02X} at {error.start}") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}: not JSON: {error.msg}") from None
    except RecursionError:
        raise InputError(f"{path}: cannot be read as JSON: nested too deeply") from None
    except ValueError:
        # What is left of ValueError after its two subclasses above: Python's limit on the digits of a number.
        raise InputError(f"{path}: cannot be read as JSON: {TOO_LONG_A_NUMBER}") from None


def _inside(path: Path, document: dict[str, Any]) -> list[Any]:
    lists = [name for name, value in document.items() if isinstance(value, list)]
    if len(lists) == 1 and lists[0] in ENVELOPES:
        rows: list[Any] = document[lists[0]]
        return rows
    fields = ", ".join(list(document)[:SHOWN_FIELDS])
    several = f"; its lists are {', '.join(lists[:SHOWN_FIELDS])}: put one in a file of its own" if lists else ""
    raise InputError(f"{path}: expected a JSON list of objects, found an object with {fields}{several}")
