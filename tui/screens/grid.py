"""A table of any number of rows: only the lines on the screen are drawn, and nothing is kept of the others."""

from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click, Resize
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.summary.columns import Column

MARK_CELLS = 2
SCROLLBAR_CELLS = 1
NUMBERS = {"number", "a", "b", "margin", "spread", "delta"}
Cell = Callable[[Column, int], str]


class Grid(ScrollView, can_focus=True):
    """Rows as lines under a line of titles. It is given the order of the rows and asks for the cells as it draws."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"grid--titles", "grid--cursor", "grid--column"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)", "Down", show=False, id="table.down", tooltip="Next row"),
        Binding("k,up", "move(-1)", "Up", show=False, id="table.up", tooltip="Previous row"),
        Binding("g,home", "go_to(0)", "First", show=False, id="table.first", tooltip="First row"),
        Binding("G,end", "go_to(-1)", "Last", show=False, id="table.last", tooltip="Last row"),
        Binding("ctrl+d,pagedown", "page(1)", "Page down", show=False, id="table.page_down", tooltip="A page down"),
        Binding("ctrl+u,pageup", "page(-1)", "Page up", show=False, id="table.page_up", tooltip="A page up"),
        Binding("h,left", "column(-1)", "Left", show=False, id="table.left", tooltip="Column to the left"),
        Binding("l,right", "column(1)", "Right", show=False, id="table.right", tooltip="Column to the right"),
        Binding("tab", "app.pane(1)", "Pane", show=False, id="pane.next", tooltip="The next pane"),
        Binding("shift+tab", "app.pane(-1)", "Pane", show=False, id="pane.previous", tooltip="The pane before"),
    ]

    cursor = reactive(0, repaint=False)
    """The place of the selected row in the order."""

    class Moved(Message):
        """Another row is selected."""

    class TitleClicked(Message):
        """A title was clicked."""

        def __init__(self, column: str) -> None:
            super().__init__()
            self.column = column

    class Opened(Message):
        """A row was clicked twice."""

    def __init__(self, cell: Cell, columns: Callable[[int], Sequence[Column]], id: str) -> None:
        super().__init__(id=id)
        self._cell = cell
        self._columns_for = columns
        self.order = np.empty(0, dtype="i8")
        self.column = "prompt"
        """The selected column, by which one sorts and counts."""
        self.sorted_by = ("", "")
        """The sorted column and its mark."""
        self.n_drawn = 0
        """Lines drawn so far, for tests."""

    def show(self, order: np.ndarray, cursor: int, sorted_by: tuple[str, str] = ("", "")) -> None:
        """Show the rows of `order` with the cursor on the one at the place `cursor`."""
        self.order, self.sorted_by = order, sorted_by
        self.virtual_size = Size(self.size.width, len(order) + 1)  # the titles scroll away with no row
        self.set_reactive(Grid.cursor, max(0, min(cursor, len(order) - 1)))
        self._bring_into_view()
        self.refresh()

    @property
    def row(self) -> int | None:
        """Return the selected row, or None if there is none."""
        return int(self.order[self.cursor]) if self.cursor < len(self.order) else None

    def columns(self) -> list[Column]:
        """Return the columns that fit the present width."""
        return list(self._columns_for(self._inner_width()))

    def _inner_width(self) -> int:
        return max(1, self.size.width - MARK_CELLS)

    def watch_cursor(self, before: int, now: int) -> None:
        """Draw the cursor at its new place: two lines, unless the rows have scrolled."""
        top = self.scroll_offset.y
        self._bring_into_view()
        if top == self.scroll_offset.y:
            self.refresh(*(Region(0, 1 + place - top, self.size.width, 1) for place in (before, now)))
        else:
            self.refresh()
        self.post_message(self.Moved())

    def validate_cursor(self, cursor: int) -> int:
        """Keep the cursor within the rows."""
        return max(0, min(cursor, len(self.order) - 1))

    def _bring_into_view(self) -> None:
        height = max(1, self.size.height - 1)
        top = self.scroll_offset.y
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False, force=True, immediate=True)
        elif self.cursor >= top + height:
            self.scroll_to(y=self.cursor - height + 1, animate=False, force=True, immediate=True)

    def on_resize(self, event: Resize) -> None:
        """Keep the cursor on the screen. The columns are fitted as they are drawn."""
        self.virtual_size = Size(event.size.width, len(self.order) + 1)
        self._bring_into_view()

    def render_line(self, y: int) -> Strip:
        """Draw one line of the screen."""
        self.n_drawn += 1
        width = self.size.width
        if y == 0:
            return self._titles().adjust_cell_length(width, self.get_component_rich_style("grid--titles"))
        place = self.scroll_offset.y + y - 1
        if place >= len(self.order):
            return Strip.blank(width, self.rich_style)
        return self._line(place).adjust_cell_length(width, self.rich_style)

    def _titles(self) -> Strip:
        style = self.get_component_rich_style("grid--titles")
        selected = style + Style(underline=True, bold=True)
        segments = [Segment(" " * MARK_CELLS, style)]
        for column, cells in self._fitted():
            mark = self.sorted_by[1] if column.name == self.sorted_by[0] else ""
            is_selected = column.name == self.column
            title = f"{mark}{'›' if is_selected else ''}{column.title}"
            segments.append(
                Segment(fitted(title, cells, right=column.name in NUMBERS), selected if is_selected else style)
            )
            segments.append(Segment(" ", style))
        return Strip(segments)

    def _line(self, place: int) -> Strip:
        row, is_cursor = int(self.order[place]), place == self.cursor
        style = self.get_component_rich_style("grid--cursor") if is_cursor else self.rich_style
        segments = [Segment("▶ " if is_cursor else "  ", style)]
        for column, cells in self._fitted():
            text = self._cell(column, row)
            segments.append(Segment(fitted(text, cells, right=column.name in NUMBERS), style))
            segments.append(Segment(" ", style))
        return Strip(segments)

    def _fitted(self) -> list[tuple[Column, int]]:
        columns = self.columns()
        rest = self._inner_width() - sum(column.cells + 1 for column in columns if column.cells) - 1
        return [(column, column.cells or max(1, rest)) for column in columns]

    def column_at(self, x: int) -> str | None:
        """Return the name of the column at a cell of a line."""
        at = MARK_CELLS
        for column, cells in self._fitted():
            if at <= x < at + cells + 1:
                return column.name
            at += cells + 1
        return None

    def on_click(self, event: Click) -> None:
        """Select the clicked row, open it on the second click, or sort by the clicked title."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        if offset.y == 0:
            if (name := self.column_at(offset.x)) is not None:
                self.column = name
                self.post_message(self.TitleClicked(name))
            return
        place = self.scroll_offset.y + offset.y - 1
        if place < len(self.order):
            self.cursor = place
            if event.chain == 2:
                self.post_message(self.Opened())

    def action_move(self, rows: int) -> None:
        """Move the cursor by some rows."""
        self.cursor += rows

    def action_page(self, pages: int) -> None:
        """Move the cursor by a screen."""
        self.cursor += pages * max(1, self.size.height - 2)

    def action_go_to(self, place: int) -> None:
        """Move the cursor to a row, -1 for the last."""
        self.cursor = len(self.order) - 1 if place < 0 else place

    def action_column(self, step: int) -> None:
        """Select another column."""
        names = [column.name for column in self.columns()]
        at = names.index(self.column) if self.column in names else 0
        self.column = names[max(0, min(at + step, len(names) - 1))]
        self.refresh(Region(0, 0, self.size.width, 1))


def fitted(text: str, cells: int, *, right: bool = False) -> str:
    """Return a text with exactly so many cells, cut with an ellipsis or filled with spaces."""
    length = cell_len(text)
    if length > cells:
        return set_cell_size(text, max(0, cells - 1)) + "…" if cells > 0 else ""
    return " " * (cells - length) + text if right else text + " " * (cells - length)
