"""Reads what people have, a record at a time: JSONL, JSON, CSV (each also .gz), Parquet, or a hub data set."""

import csv
import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import msgspec

from console.errors import InputError, RowError
from console.progress import say

Record = dict[str, Any]
SHOWN_BAD_ROWS = 10
DEFAULT_SPLIT = "train"


class BadRows:
    """What happens to a bad row: it is named and counted (`quiet`: only counted), or `strict` stops the command."""

    def __init__(self, *, strict: bool = False, quiet: bool = False) -> None:
        self.strict = strict
        self.quiet = quiet
        self.n_bad = 0

    def add(self, error: RowError) -> None:
        """Count one bad row and name it on stderr; raises it where `strict`."""
        if self.strict:
            raise error
        self.n_bad += 1
        if self.quiet:
            return
        if self.n_bad <= SHOWN_BAD_ROWS:
            say(f"skipped: {error}")
        elif self.n_bad == SHOWN_BAD_ROWS + 1:
            say(f"skipped: more than {SHOWN_BAD_ROWS} bad rows; the rest are only counted")


def read_records(source: str | Path, bad: BadRows) -> Iterator[tuple[str, Record]]:
    """Yield `(where, record)` for every record of a file or hub data set; `where` is `file:line` for messages.

    A hub data set is named `owner/name` or `owner/name:split`. Raises InputError where there is no such file, it has no
    rows, or its ending is unknown.
    """
    n_records = 0
    for where, record in _open(str(source), bad):
        if not isinstance(record, dict):
            bad.add(RowError(f"{where}: expected an object with named fields, found {type(record).__name__}"))
            continue
        n_records += 1
        yield where, record
    if n_records == 0:
        detail = f"all {bad.n_bad} rows are bad" if bad.n_bad else "the file has no rows"
        raise InputError(f"{source}: {detail}")


def _open(source: str, bad: BadRows) -> Iterator[tuple[str, Any]]:
    path = Path(source)
    if not path.exists():
        if _looks_like_hub_id(source):
            return _hub(source)
        raise InputError(f"{source}: no such file")
    if path.is_dir():
        raise InputError(f"{source}: is a folder; name a file in it")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = suffixes[-2] if len(suffixes) > 1 and suffixes[-1] == ".gz" else (suffixes or [""])[-1]
    match kind:
        case ".jsonl" | ".ndjson":
            return _jsonl(path, bad)
        case ".json":
            return _json(path, bad)
        case ".csv" | ".tsv":
            return _csv(path, "\t" if kind == ".tsv" else ",")
        case ".parquet":
            return _parquet(path)
    raise InputError(f"{source}: unknown kind of file; use .jsonl, .json, .csv, .tsv (each also .gz) or .parquet")


def _bytes_of(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")  # type: ignore[return-value]


def _jsonl(path: Path, bad: BadRows) -> Iterator[tuple[str, Any]]:
    with _bytes_of(path) as file:
        for number, line in enumerate(_lines(file, path), start=1):
            if not line.strip():
                continue
            try:
                yield f"{path}:{number}", msgspec.json.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                bad.add(RowError(f"{path}:{number}: not JSON: {error}"))


def _lines(file: Iterable[bytes], path: Path) -> Iterator[bytes]:
    try:
        yield from file
    except (EOFError, OSError) as error:  # a gzip file that was cut off, or is none
        raise InputError(f"{path}: cannot be read: {error}") from None


def _json(path: Path, bad: BadRows) -> Iterator[tuple[str, Any]]:
    with _bytes_of(path) as file:
        data = b"".join(_lines(file, path))
    try:
        records = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8: {error}") from None
    except json.JSONDecodeError as error:
        if b"\n" in data.strip():
            yield from _jsonl(path, bad)  # JSON lines under the wrong name
            return
        raise InputError(f"{path}:{error.lineno}: not JSON: {error.msg}") from None
    if not isinstance(records, list):
        raise InputError(f"{path}: expected a JSON list of objects, found {type(records).__name__}")
    for number, record in enumerate(records, start=1):
        yield f"{path}: row {number}", record


def _csv(path: Path, delimiter: str) -> Iterator[tuple[str, Any]]:
    csv.field_size_limit(1 << 30)
    with _bytes_of(path) as file:
        text = (line.decode("utf-8-sig") for line in _lines(file, path))
        try:
            reader = csv.DictReader(text, delimiter=delimiter, strict=True)
            for record in reader:
                yield f"{path}:{reader.line_num}", record
        except (csv.Error, UnicodeDecodeError) as error:
            raise InputError(f"{path}: not a CSV file: {error}") from None


def _parquet(path: Path) -> Iterator[tuple[str, Any]]:
    import pyarrow
    import pyarrow.parquet

    try:
        number = 0
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches(batch_size=1024):
            for record in batch.to_pylist():
                number += 1
                yield f"{path}: row {number}", record
    except pyarrow.ArrowInvalid as error:
        raise InputError(f"{path}: not a Parquet file: {error}") from None


def _looks_like_hub_id(source: str) -> bool:
    owner, _, name = source.partition("/")
    return bool(owner and name) and "/" not in name and not source.startswith((".", "~")) and "." not in name


def _hub(source: str) -> Iterator[tuple[str, Any]]:
    import datasets

    name, _, split = source.partition(":")
    try:
        rows = datasets.load_dataset(name, split=split or DEFAULT_SPLIT)
    except Exception as error:  # the hub client raises many types; each means that the set is not to be had
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{source}: no such file, and the hub did not give a data set of that name: {reason}"
        ) from None
    for number, record in enumerate(rows, start=1):
        yield f"{source}: row {number}", record
