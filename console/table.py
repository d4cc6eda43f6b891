"""Prints a small table to stdout: aligned on a terminal, in a file, and in a Markdown page alike."""

import json
from collections.abc import Sequence

Cell = str | int | float | None


def print_table(rows: Sequence[dict[str, Cell]], *, as_json: bool = False) -> None:
    """Print rows that share their keys; None prints as a dash, a float with two decimals."""
    if as_json:
        print(json.dumps(list(rows), ensure_ascii=False, indent=1))
        return
    print(markdown_table(rows))


def markdown_table(rows: Sequence[dict[str, Cell]]) -> str:
    """Return the rows as a Markdown table whose columns are aligned, numbers to the right."""
    if not rows:
        return "(no rows)"
    names = list(rows[0])
    columns = {name: [_text(row[name]) for row in rows] for name in names}
    widths = {name: max(len(name), 3, *map(len, columns[name])) for name in names}
    right = {name: any(isinstance(row[name], int | float) for row in rows) for name in names}

    def line(cells: dict[str, str]) -> str:
        padded = (cells[n].rjust(widths[n]) if right[n] else cells[n].ljust(widths[n]) for n in names)
        return "| " + " | ".join(padded) + " |"

    rule = "| " + " | ".join("-" * (widths[n] - 1) + (":" if right[n] else "-") for n in names) + " |"
    body = [line({name: columns[name][index] for name in names}) for index in range(len(rows))]
    return "\n".join([line({name: name for name in names}), rule, *body])


def _text(cell: Cell) -> str:
    if cell is None:
        return "-"
    return f"{cell:.2f}" if isinstance(cell, float) else str(cell)
