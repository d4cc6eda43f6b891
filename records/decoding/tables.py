"""Reads tables: CSV and TSV, whose cells are text."""

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from console.errors import InputError, RowError
from records.decoding.bad_rows import BadRows
from records.decoding.lines import lines_of

DELIMITERS = {".csv": ",", ".tsv": "\t"}
MOST_CHARS_A_CELL = 1 << 28  # csv's own limit is 131,072, and reasoning can be longer
MOST_COLUMNS = 100_000
MOST_LINES_A_ROW = 1_000_000
OTHERS = {";": "semicolons", "\t": "tabs", ",": "commas", "|": "bars"}


def read_csv(path: Path, kind: str, bad: BadRows) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each row of a CSV or TSV file after its place. Every cell is text.

    A first line `sep=;`, as Excel writes it, names the delimiter. A row with more cells than columns is a bad row. A
    row with fewer lacks the last fields. Raises InputError, naming the line, if the quotes are wrong, and for a header
    that another delimiter separates or that names a column twice.
    """
    csv.field_size_limit(MOST_CHARS_A_CELL)
    lines = _Lines(path, DELIMITERS[kind])
    reader = csv.reader(lines, delimiter=lines.delimiter, strict=True)
    columns: list[str] = []
    while True:
        lines.row = first = lines.number + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            problem = " ".join(str(error).split())
            raise InputError(
                f"{path}:{first}: not {kind[1:].upper()}: {problem}: a quote is missing or not doubled"
            ) from None
        if cells is None:
            return
        # csv gives [] for a blank line, and one empty cell for "", which is a row of a table with one column.
        if not any(cell.strip() for cell in cells) and (len(cells) != 1 or not columns):
            continue  # a blank line
        where = f"{path}:{lines.number}"
        if not columns:
            columns = _header(cells, lines.delimiter, where)
        elif flaw := _flaw(len(cells), len(columns), lines):
            bad.add(RowError(f"{where}: {flaw}"))
        else:
            yield where, dict(zip(columns, cells, strict=False))  # a row may have fewer cells


class _Lines:
    """The lines of a CSV file as text. `number` is the number of the last one."""

    def __init__(self, path: Path, delimiter: str) -> None:
        self.path = path
        self.number = 0
        self.is_cut = False
        """True if the last line so far has no line break."""
        self.delimiter = delimiter
        # The first line is read here, and given out again unless it names the delimiter.
        self._lines = _with_ends(lines_of(path))
        self.row = 1
        """The number of the first line of the row that is being read."""
        self._held: str | None = None
        first = next(self, "")
        if first.lower().startswith("sep=") and len(first.strip("\r\n")) == 5:
            self.delimiter = first[4]
        else:
            self._held = first

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        if self._held is not None:
            held, self._held = self._held, None
            return held
        line = next(self._lines)
        self.number += 1
        if self.number - self.row > MOST_LINES_A_ROW:
            raise InputError(
                f"{self.path}:{self.row}: this row has more than {MOST_LINES_A_ROW:,} lines: a quote is missing or not "
                "doubled"
            )
        self.is_cut = not line.endswith(b"\n")
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError as error:
            byte = f"byte 0x{line[error.start]:02X} at {error.start}"
            raise InputError(f"{self.path}:{self.number}: not UTF-8: {byte}; save the table as UTF-8") from None


def _with_ends(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the lines of a file. Bare carriage returns, as an old Mac's file has them, are line breaks too."""
    first = next(lines, b"")
    if b"\r" in first.rstrip(b"\r\n") and not first.endswith(b"\n"):
        first = first.replace(b"\r", b"\n")
        yield from first.splitlines(keepends=True)
    elif first:
        yield first
    yield from lines


def _header(cells: list[str], delimiter: str, where: str) -> list[str]:
    columns = [cell.strip() for cell in cells]
    if len(columns) == 1:
        for other, name in OTHERS.items():
            if other != delimiter and other in columns[0]:
                raise InputError(
                    f"{where}: one column named {columns[0]!r}: this table is separated by {name}; save it with "
                    f"{OTHERS[delimiter] if delimiter in OTHERS else repr(delimiter)}, or put a line sep={other} first"
                )
    if len(columns) > MOST_COLUMNS:
        raise InputError(f"{where}: {len(columns):,} columns; is it the file that you mean?")
    twice = sorted(name for name, n in Counter(columns).items() if name and n > 1)
    if twice:
        raise InputError(f"{where}: two columns are named {twice[0]!r}")
    return columns


def _flaw(n_cells: int, n_columns: int, lines: _Lines) -> str | None:
    if n_cells > n_columns:
        return f"{n_cells} cells for {n_columns} columns; a cell with a delimiter in it stands in quotes"
    if n_cells < n_columns and lines.is_cut:
        return f"{n_cells} cells for {n_columns} columns: the last line is cut off"
    return None
