"""Reads one JSON document as rows: a list of objects, or an object that holds one."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from console.errors import InputError, RowError
from console.reading import TOO_LONG_A_NUMBER
from records.decoding.bad_rows import BadRows
from records.decoding.lines import decode_line

ENVELOPES = ("data", "rows", "examples", "records", "items", "train", "validation", "test")
"""Names under which people keep the one list of a JSON object."""
# A whole text comes first, so that brackets and commas in it are no tokens. A quote alone is one that never closes.
TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|["\[\]{},]', re.DOTALL)
SHOWN_FIELDS = 8
NEWLINE = b"\n"
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


def read_document(path: Path, data: bytes, bad: BadRows) -> Iterator[tuple[str, Any]]:
    """Yield the rows of a list, or of the one list in an object that has a usual name such as `data`.

    A row that is not JSON is a bad row. Raises InputError for a document that is cut off or is neither.
    """
    if data.lstrip().startswith(b"["):
        yield from _rows(path, data, bad)
        return
    document = _decoded(path, data)
    if not isinstance(document, dict):
        raise InputError(f"{path}: expected a JSON list of objects, found {type(document).__name__}")
    for number, row in enumerate(_inside(path, document), start=1):
        yield f"{path}: row {number}", row


def _rows(path: Path, data: bytes, bad: BadRows) -> Iterator[tuple[str, Any]]:
    for number, element in enumerate(_elements(path, data), start=1):
        try:
            row = decode_line(element)
        except InputError as error:
            bad.add(RowError(f"{path}: row {number}: {error}"))
            continue
        yield f"{path}: row {number}", row


def _elements(path: Path, data: bytes) -> Iterable[bytes]:
    """Return the bytes of each element of a JSON list, so that one which cannot be decoded does not take the rest."""
    try:
        return map(bytes, msgspec.json.decode(data, type=list[msgspec.Raw]))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _split(path, data)


def _split(path: Path, data: bytes) -> list[bytes]:
    """Return the elements of a list by its brackets. Raises InputError, naming the line, if they do not close."""
    depth, start, end = 0, 0, None
    elements: list[bytes] = []
    for token in TOKEN.finditer(data):
        sign = token.group()
        if end is not None:  # something follows the list: said below, with its line
            break
        if sign in (b"[", b"{"):
            depth += 1
            if depth > MOST_DEEP:
                raise InputError(f"{path}:{data.count(NEWLINE, 0, token.end()) + 1}: not JSON: nested too deeply")
            start = token.end() if depth == 1 else start
        elif sign in (b"]", b"}"):
            depth -= 1
            end = token.start() if depth == 0 else None
        elif sign == b'"':
            break  # a text that never ends
        if depth == 1 and sign == b",":
            elements.append(data[start : token.start()])
            start = token.end()
    if end is None:
        n_lines = data.count(b"\n", 0, len(data.rstrip())) + 1
        raise InputError(f"{path}:{n_lines}: not JSON: the list is not closed, so the file is cut off or damaged")
    if data[end + 1 :].strip():
        line = data.count(b"\n", 0, end) + 1
        raise InputError(f"{path}:{line}: not JSON: something follows the end of the list")
    # An empty list has no element. A comma before the end of another leaves an empty one, which is a bad row.
    last = data[start:end]
    return [*elements, last] if elements or last.strip() else []


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
