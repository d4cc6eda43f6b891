"""The table of pairs, one line each."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import DataTable

from tui.query import PairRow
from tui.text import CELL_CHARS, number_text

NARROWEST_PROMPT = 12
GAPS_AND_SCROLLBAR = 16

COLUMN_CELLS = {"number": 6, "chosen": 7, "rejected": 9, "margin": 7, "Δchars": 7, "iter": 5}
"""The widths of the fixed columns, with room for the sort mark."""

CELLS: dict[str, Callable[[PairRow], str]] = {
    "number": lambda summary: str(summary.number),
    "prompt": lambda summary: summary.prompt_start,
    "chosen": lambda summary: number_text(summary.chosen_score),
    "rejected": lambda summary: number_text(summary.rejected_score),
    "margin": lambda summary: number_text(summary.margin),
    "Δchars": lambda summary: f"{summary.delta_chars:+d}",
    "iter": lambda summary: "-" if summary.iteration is None else str(summary.iteration),
}


class PairTable(DataTable[Text]):
    """The pairs, one per row. The cursor selects the pair in the detail pane."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "app.open", "Read", id="table.open", tooltip="Hide or show the table, to read the texts"),
        Binding("tab", "app.focus_next", "Pane", id="table.next", tooltip="Go to the next pane"),
        Binding("j", "cursor_down", "Down", show=False, id="table.down", tooltip="Select the pair below"),
        Binding("k", "cursor_up", "Up", show=False, id="table.up", tooltip="Select the pair above"),
        Binding("g", "scroll_top", "First", show=False, id="table.first", tooltip="Select the first pair"),
        Binding("G", "scroll_bottom", "Last", show=False, id="table.last", tooltip="Select the last pair"),
        Binding("ctrl+d", "page_down", "Page down", show=False, id="table.page_down", tooltip="Go a page down"),
        Binding("ctrl+u", "page_up", "Page up", show=False, id="table.page_up", tooltip="Go a page up"),
    ]

    def on_mount(self) -> None:
        """Select whole rows."""
        self.cursor_type = "row"

    def fill(self, rows: Sequence[PairRow], width: int, sort_column: str, mark: str) -> None:
        """Fill the table with `rows` at `width` cells, with `mark` before the name of the sorted column."""
        prompt_cells = width - sum(COLUMN_CELLS.values()) - GAPS_AND_SCROLLBAR
        prompt_cells = max(NARROWEST_PROMPT, min(CELL_CHARS, prompt_cells))  # rows have no more text than CELL_CHARS
        self.clear(columns=True)  # columns too, because a column's width is fixed when it is added
        for name in CELLS:
            title = "#" if name == "number" else name
            label = _cell(name, f"{mark}{title}" if name == sort_column else title)
            self.add_column(label, width=COLUMN_CELLS.get(name, prompt_cells), key=name)
        for pair in rows:
            self.add_row(*(_cell(name, value(pair)) for name, value in CELLS.items()), key=str(pair.number))


def _cell(name: str, text: str) -> Text:
    # Text and not str, which DataTable would parse as markup
    return Text(text, justify="left" if name == "prompt" else "right", no_wrap=True, overflow="ellipsis")
