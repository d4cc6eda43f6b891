"""Reads what people have, a record at a time: JSONL, JSON, CSV (each also .gz), Parquet, or a hub data set."""

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

from console import reading
from console.errors import InputError, RowError
from console.reading import being_read
from console.writing import kind_of
from records.decoding.bad_rows import BadRows
from records.decoding.documents import is_document, read_document, read_list
from records.decoding.lines import decode_line, is_plain, joined, lines_of, pieces_of
from records.decoding.parquet import read_parquet
from records.decoding.tables import DELIMITERS, read_csv

__all__ = [
    "BadRows",
    "Record",
    "check_limit",
    "check_sources",
    "checked_file",
    "decode_record",
    "is_indexed",
    "read_records",
    "take",
    "take_prompts",
]

Record = dict[str, Any]
RowT = TypeVar("RowT")
DEFAULT_SPLIT = "train"
JSON_LINES = (".jsonl", ".ndjson")
MOST_BAD_FIRST = 100_000
"""Lines that are no JSON, with none that is: a packed file of another kind may have any number of them."""


def read_records(source: str | Path, bad: BadRows) -> Iterator[tuple[str, Record]]:
    """Yield `(where, record)` for every record of a file or hub data set. `where` is `file:line` for messages.

    A hub data set is named `owner/name` or `owner/name:split`. Raises InputError if there is no such file, it has no
    rows, or its ending is unknown. The good rows before the damage in a damaged file are yielded first.
    """
    n_records, n_bad_before = 0, bad.n_bad
    with being_read(Path(source)):
        for where, record in _open(str(source), bad):
            if isinstance(record, dict):
                n_records += 1
                yield where, record
            else:
                bad.add(RowError(f"{where}: {_no_object(record)}"))
    if n_records == 0:
        detail = bad.summary(n_bad_before) if bad.n_bad > n_bad_before else "the file has no rows"
        raise InputError(f"{source}: {detail}")


def take(rows: Iterable[RowT], limit: int | None) -> Iterator[RowT]:
    """Return the first `limit` of `rows`, or all of them for None. Raises InputError, at once, for a limit under 1."""
    check_limit(limit)
    return islice(rows, limit)


def take_prompts(rows: Iterable[RowT], limit: int | None, prompt_of: Callable[[RowT], str]) -> Iterator[RowT]:
    """Return the rows of the first `limit` prompts, all of each prompt's wherever they stand, or all rows for None.

    Raises InputError, at once, for a limit under 1.
    """
    check_limit(limit)
    prompts: set[str] = set()

    def is_of_first(row: RowT) -> bool:
        prompt = prompt_of(row)
        if prompt not in prompts and len(prompts) == limit:
            return False
        prompts.add(prompt)
        return True

    return iter(rows) if limit is None else filter(is_of_first, rows)


def check_limit(limit: int | None) -> None:
    """Raise InputError if --limit is under 1: nothing, or the rows without the last ones, is never what is meant."""
    if limit is not None and limit < 1:
        raise InputError(f"--limit must be at least 1, not {limit}")


def checked_file(path: Path) -> Path:
    """Return `path`. Raises InputError if it is no file."""
    if not os.path.exists(path):  # False, too, for a name that no file can have
        raise InputError(reading.no_such_file(path))
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file in it")
    if not path.is_file():
        raise InputError(f"{path}: is {kind_of(path.stat().st_mode)}, which can be read once only: write it to a file")
    return path


def check_sources(*sources: Path | None) -> None:
    """Raise InputError for the first named file that does not exist. A hub data set is not checked."""
    for source in sources:
        if source is not None and (os.path.exists(source) or not _looks_like_hub_id(str(source))):
            checked_file(source)


def is_indexed(path: Path) -> bool:
    """Return whether each row is a line of the file itself, so that it can be read again by its offset."""
    if path.suffix.lower() not in JSON_LINES or not path.is_file() or not is_plain(path):
        return False
    return not is_document(next(filter(bytes.strip, lines_of(path)), b""))


def decode_record(line: bytes) -> Record:
    """Return the record of one line of JSONL. Raises InputError if it holds none."""
    record = decode_line(line)
    if not isinstance(record, dict):
        raise InputError(_no_object(record))
    return record


def _open(source: str, bad: BadRows) -> Iterator[tuple[str, Any]]:
    path = Path(source)
    if _looks_like_hub_id(source) and not os.path.exists(path):
        return _hub(source)
    checked_file(path)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = suffixes[-2] if len(suffixes) > 1 and suffixes[-1] == ".gz" else (suffixes or [""])[-1]
    if kind == ".json" or kind in JSON_LINES:
        return _json(path, kind, bad)
    if kind in DELIMITERS:
        return read_csv(path, kind, bad)
    if kind == ".parquet":
        return read_parquet(path)
    raise InputError(f"{source}: unknown kind of file; use .jsonl, .json, .csv, .tsv (each also .gz) or .parquet")


def _json(path: Path, kind: str, bad: BadRows) -> Iterator[tuple[str, Any]]:
    """Yield the rows of JSON lines or of a JSON document, whichever it is: people mix up the two endings."""
    if kind not in JSON_LINES and _opens_list(path):
        yield from read_list(path, pieces_of(path), bad)
        return
    lines = lines_of(path, None if kind in JSON_LINES else reading.MOST_BYTES_A_FILE)
    before = _to_first(lines)
    first = before[-1] if before else b""
    if not first.strip():
        return
    is_rows = not is_document(first)
    # In a .json file one object may be the document, such as {"data": [...]}. A second line shows that it is a row.
    if is_rows and kind not in JSON_LINES:
        after = _to_first(lines) if _is_record(first) else []
        is_rows, before = bool(after and after[-1].strip()), before + after
    if is_rows:
        yield from _json_lines(path, chain(before, lines), bad)
    elif first.lstrip().startswith(b"["):
        yield from read_list(path, chain(before, lines), bad)
    else:
        yield from read_document(path, joined(path, chain(before, lines)))


def _opens_list(path: Path) -> bool:
    """Return whether a file's first character is that of a list, which is often one line, as long as all its rows."""
    return next(filter(bytes.strip, pieces_of(path)), b"").lstrip().startswith(b"[")


def _to_first(lines: Iterator[bytes]) -> list[bytes]:
    """Return the next lines up to the first that is not blank."""
    first_lines: list[bytes] = []
    for line in lines:
        first_lines.append(line)
        if line.strip():
            break
    return first_lines


def _json_lines(path: Path, lines: Iterable[bytes], bad: BadRows) -> Iterator[tuple[str, Any]]:
    n_good = n_bad = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = decode_line(line)
        except InputError as error:
            bad.add(RowError(f"{path}:{number}: {error}"))
            n_bad += 1
            if n_bad >= MOST_BAD_FIRST and not n_good:
                raise InputError(
                    f"{path}:{number}: all of the first {n_bad:,} lines are no JSON; is it the file that you mean?"
                ) from None
            continue
        n_good += 1
        yield f"{path}:{number}", record


def _is_record(line: bytes) -> bool:
    try:
        return isinstance(decode_line(line), dict)
    except InputError:
        return False


def _no_object(record: Any) -> str:
    return f"expected an object with named fields, found {type(record).__name__}"


def _looks_like_hub_id(source: str) -> bool:
    owner, _, name = source.partition("/")
    # A dot is taken for the ending of a missing file, though a name on the hub may have one.
    return bool(owner and name) and "/" not in name and not source.startswith((".", "~")) and "." not in name


def _hub(source: str) -> Iterator[tuple[str, Any]]:
    import datasets

    name, _, split = source.partition(":")
    try:
        rows = datasets.load_dataset(name, split=split or DEFAULT_SPLIT)
    except Exception as error:  # the hub client raises many types, each because the set is not available
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{source}: no such file, and the hub did not give a data set of that name: {reason}"
        ) from None
    for number, record in enumerate(rows, start=1):
        yield f"{source}: row {number}", record
