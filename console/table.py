"""Prints a small table to stdout, at most as wide as the screen, and as Markdown if it fits.

A wider table is turned, so that each column becomes a line, if the rows then fit side by side. Otherwise the columns
are split into several tables that repeat the first column. A column that is still too wide becomes a list. If the
first column is too wide, each row becomes a list.
"""

import shutil
import sys
import textwrap
from collections.abc import Sequence

from console.output import tell_json, tell_text
from console.visible import one_line

Cell = str | int | float | None
Row = dict[str, Cell]

WIDTH = 80
NARROWEST = 40
SMALL = 0.1
"""Two decimals of a smaller number would be one digit of it, or none."""


def print_table(rows: Sequence[Row], *, as_json: bool = False) -> None:
    """Print rows that share their keys. None prints as a dash, a float with two decimals, or two digits."""
    if as_json:
        tell_json(list(rows))
        return
    tell_text(fitted(rows, screen_width()))


def screen_width() -> int:
    """Return the number of cells in a line: the terminal's, or 80 in a file or a pipe."""
    if not sys.stdout.isatty():
        return WIDTH
    return max(NARROWEST, shutil.get_terminal_size((WIDTH, 24)).columns)


def fitted(rows: Sequence[Row], width: int) -> str:
    """Return the rows as text with lines of at most `width` cells. Nothing is cut."""
    if not rows:
        return "(no rows)"
    table = _Table.of(rows)
    turned = table.turned()
    for candidate in (table, turned):
        if candidate.width <= width:
            return candidate.text()
    if table.parts(width):
        lists = [_listed_column(table, name, width) for name in table.too_wide(width)]
        return "\n\n".join([*(part.text() for part in table.parts(width)), *lists])
    return "\n\n".join(_listed(row, width) for row in rows)


def markdown_table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table of any width whose columns are aligned, numbers to the right."""
    return _Table.of(rows).text() if rows else "(no rows)"


class _Table:
    """Cells as text, column by column."""

    def __init__(self, columns: dict[str, list[str]], right: set[str]) -> None:
        self.columns = columns
        self.right = right
        # At least 3, because some readers of Markdown want three dashes in the rule.
        self.widths = {name: max(3, _cells(name), *map(_cells, column)) for name, column in columns.items()}

    @classmethod
    def of(cls, rows: Sequence[Row]) -> "_Table":
        names = list(rows[0])
        right = {name for name in names if any(isinstance(row[name], int | float) for row in rows)}
        return cls._made({name: [_text(row[name]) for row in rows] for name in names}, right)

    @classmethod
    def _made(cls, columns: dict[str, list[str]], right: set[str]) -> "_Table":
        def escaped(text: str) -> str:
            return one_line(text).replace("|", "\\|")  # else a name could add a column

        made: dict[str, list[str]] = {}
        aligned = set()
        for name, column in columns.items():
            shown = escaped(name)
            while shown in made:  # two names that look the same are still two columns
                shown += "'"
            made[shown] = [escaped(cell) for cell in column]
            if name in right:
                aligned.add(shown)
        return cls(made, aligned)

    @property
    def width(self) -> int:
        return sum(self.widths.values()) + 3 * len(self.columns) + 1  # "| " and " " around each cell, and the last "|"

    def turned(self) -> "_Table":
        """Return the table with one line per column. The first column's values head the others."""
        first, *others = self.columns
        made = {first: others}
        for place, head in enumerate(self.columns[first]):
            while head in made:
                head += "'"
            made[head] = [self.columns[name][place] for name in others]
        return _Table(made, set(made) - {first} if self.right else set())

    def too_wide(self, width: int) -> list[str]:
        """Return the columns that do not fit beside the first."""
        first, *others = self.columns
        # 7 is the frame of two columns, "| ", " | " and " |". Below, 4 is that of one, and 3 of each further one.
        return [name for name in others if self.widths[first] + self.widths[name] + 7 > width]

    def parts(self, width: int) -> "list[_Table]":
        """Return tables of at most `width` that each begin with the first column, of the columns that fit beside it.

        The first has all rows, the others those that say something in their columns, such as a note.
        """
        first, *others = self.columns
        apart = self.too_wide(width)
        groups: list[list[str]] = []
        left = 0
        for name in (name for name in others if name not in apart):
            needed = self.widths[name] + 3
            if needed > left:
                groups.append([])
                left = width - self.widths[first] - 4
            groups[-1].append(name)
            left -= needed
        return [self._part(group, whole=place == 0) for place, group in enumerate(groups)]

    def _part(self, group: list[str], *, whole: bool) -> "_Table":
        first, *_ = self.columns
        every = range(len(self.columns[first]))
        told = [place for place in every if whole or any(self.columns[name][place] for name in group)]
        names = (first, *group)
        return _Table({name: [self.columns[name][place] for place in told or every] for name in names}, self.right)

    def text(self) -> str:
        names = list(self.columns)
        n_rows = len(self.columns[names[0]])
        rule = " | ".join("-" * (self.widths[n] - 1) + (":" if n in self.right else "-") for n in names)
        body = [self._line({name: self.columns[name][place] for name in names}) for place in range(n_rows)]
        return "\n".join([self._line({name: name for name in names}), f"| {rule} |", *body])

    def _line(self, cells: dict[str, str]) -> str:
        return "| " + " | ".join(self._padded(name, cell) for name, cell in cells.items()) + " |"

    def _padded(self, name: str, cell: str) -> str:
        space = " " * (self.widths[name] - _cells(cell))
        return space + cell if name in self.right else cell + space


def _listed(row: Row, width: int) -> str:
    """Return one row as a line for each value, the first one flush and the others below it."""
    lines = []
    for place, (name, cell) in enumerate(row.items()):
        indent = "  " if place else ""
        text = f"{one_line(name)}: {one_line(_text(cell))}"
        lines += _wrapped(text, width, indent)
    return "\n".join(lines)


def _listed_column(table: "_Table", name: str, width: int) -> str:
    """Return one column as a line for each row that has a value in it."""
    first = next(iter(table.columns))
    pairs = zip(table.columns[first], table.columns[name], strict=True)
    lines = [line for row, cell in pairs if cell not in ("-", "") for line in _wrapped(f"{row}: {cell}", width, "  ")]
    return "\n".join([*_wrapped(f"{name}:", width, ""), *(lines or ["  -"])])


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    room = width - 4  # the two indents below
    if _cells(text) > len(text):
        room //= 2  # letters of two cells
    lines = textwrap.wrap(text, room, break_on_hyphens=False, drop_whitespace=True)
    return [f"{indent}{'  ' if place else ''}{line}" for place, line in enumerate(lines)]


def _cells(text: str) -> int:
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _text(cell: Cell) -> str:
    if cell is None:
        return "-"
    if not isinstance(cell, float):
        return str(cell)
    return f"{cell:.2g}" if 0 < abs(cell) < SMALL else f"{cell:.2f}"
