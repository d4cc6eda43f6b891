"""The screen: a table of judged pairs above, the selected pair below."""

import asyncio
import time
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.events import Resize
from textual.widgets import DataTable, Footer, Input, Static
from textual.worker import get_current_worker

from console.errors import InputError
from console.visible import visible
from records.store import write_atomic
from tui.detail import Detail, TextPane
from tui.help import HelpScreen
from tui.query import SORT_KEYS, PairList, PairRow, counts_text, sorted_rows, window
from tui.table import PairTable

FEWEST_NAME_CHARS = 12
TYPING_PAUSE_S = 0.15
"""The pause in typing after which a search starts."""
SCREENSHOT_SIZE = (120, 40)
OPEN = "-open"
BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]


class FilterInput(Input):
    """The filter line. It takes every letter, so the screen's keys are off while it has the focus."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "Keep", id="filter.keep", tooltip="Keep the filter and go to the table"),
        Binding("escape", "app.leave", "Clear", id="filter.clear", tooltip="Show all pairs again"),
    ]


class PairsApp(App[None]):
    """The screen for the pairs of one file. It changes none of them."""

    TITLE = "judgeloop"
    CSS_PATH = "app.tcss"
    HORIZONTAL_BREAKPOINTS = BREAKPOINTS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", key_display="/", id="filter", tooltip="Show only pairs that hold a text"),
        Binding("s", "sort", "Sort", id="sort", tooltip="Sort by the next column, or click its name"),
        Binding("S", "reverse", "Reverse", show=False, id="reverse", tooltip="Turn the order of the sort round"),
        Binding("left_square_bracket", "step(-1)", "Prev", key_display="[", id="previous", tooltip="Previous pair"),
        Binding("right_square_bracket", "step(1)", "Next", key_display="]", id="next", tooltip="Next pair"),
        Binding("escape", "leave", "Back", show=False, id="back", tooltip="Back to the table; there: clear the filter"),
        Binding("question_mark", "help", "Help", key_display="?", id="help", tooltip="Show all keys"),
        Binding("q", "quit", "Quit", id="quit", tooltip="Quit"),
    ]

    def __init__(self, pairs: PairList) -> None:
        super().__init__()
        self.pairs = pairs
        self.matches = pairs.rows
        """The rows that match the filter, in file order."""
        self.shown: list[PairRow] = []
        """The rows in the table, in its order."""
        self.selected: PairRow | None = None
        self.sort_column = "number"
        self.descending = False
        self.filled_cells = 0
        """The width for which the table was filled; 0 before the first time."""

    def compose(self) -> ComposeResult:
        """Lay out the header, the table, the filter line, the detail pane and the keys."""
        yield Static(id="header", markup=False)
        yield PairTable(id="pairs")
        with Horizontal(id="filter"):
            yield Static(" filter: ", markup=False)
            yield FilterInput(placeholder="a text in the prompt or in an answer", compact=True)
        yield Detail(id="detail")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Fill the table and select the first pair."""
        self.filled_cells = self.size.width  # before the fill, which needs the width
        self._fill()
        self.query_one(PairTable).focus()

    def on_resize(self, event: Resize) -> None:
        """Give the prompt's column the remaining width."""
        # The event has the new size; the app still has the old one.
        if self.filled_cells not in (0, event.size.width):  # 0: a resize before the first fill
            self.filled_cells = event.size.width
            self._fill()

    def on_data_table_row_highlighted(self) -> None:
        """Show the pair under the cursor."""
        # Ask the cursor, because an event from before a refill names a row that is gone.
        self._show_selected()

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        """Sort by the clicked column, or reverse its order."""
        column = str(event.column_key.value)
        self._sort_by(column, descending=column == self.sort_column and not self.descending)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter by the text typed so far."""
        if event.value:
            self._search(event.value)
        else:
            self._show_matches(self.pairs.rows)

    def on_input_submitted(self) -> None:
        """Keep the filter and return to the table."""
        self._leave_filter()

    def action_filter(self) -> None:
        """Open the filter line."""
        self.query_one("#filter").display = True
        self.query_one(Input).focus()

    def action_sort(self) -> None:
        """Sort by the next column, with the cursor on the same pair."""
        columns = list(SORT_KEYS)  # in the order of the table
        self._sort_by(columns[(columns.index(self.sort_column) + 1) % len(columns)], descending=False)

    def action_reverse(self) -> None:
        """Reverse the sort order, with the cursor on the same pair."""
        self._sort_by(self.sort_column, descending=not self.descending)

    def action_step(self, rows: int) -> None:
        """Select the previous or the next pair, from any pane."""
        table = self.query_one(PairTable)
        if 0 <= table.cursor_row + rows < len(self.shown):
            table.move_cursor(row=table.cursor_row + rows)

    def action_open(self) -> None:
        """Hide the table to give the texts the whole screen, or show it again."""
        if self.screen.has_class(OPEN):
            self.action_leave()
        elif self.selected is not None:
            self.screen.add_class(OPEN)
            # otherwise the focus stays with the text that the user was in
            if isinstance(self.focused, PairTable):
                self.query_one("#chosen", TextPane).focus()

    def action_leave(self) -> None:
        """Go one step back: from the texts to the table, from a filter to all pairs."""
        in_filter = isinstance(self.focused, Input)
        if in_filter or (isinstance(self.focused, PairTable) and self.query_one(Input).value):
            self.query_one(Input).value = ""
        self.screen.remove_class(OPEN)
        self._leave_filter()

    def action_help(self) -> None:
        """Show all keys."""
        self.push_screen(
            HelpScreen(
                {
                    "everywhere": self.BINDINGS,
                    "table": PairTable.BINDINGS,
                    "texts": TextPane.BINDINGS,
                    "filter": FilterInput.BINDINGS,
                }
            )
        )

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable the filter key while a filter is being typed."""
        return not (action == "filter" and isinstance(self.focused, Input))

    @work(thread=True, exclusive=True, group="filter")
    def _search(self, text: str) -> None:
        worker = get_current_worker()
        time.sleep(TYPING_PAUSE_S)
        try:
            # `exclusive` cancels an earlier search, but a thread ends only if it looks at that itself
            matches = self.pairs.matching(text, stopped=lambda: worker.is_cancelled)
        except InputError as error:
            self.call_from_thread(self.notify, visible(str(error)), severity="error", markup=False)
            return
        if not worker.is_cancelled:
            self.call_from_thread(self._show_current, text, matches)

    def _show_current(self, text: str, matches: list[PairRow]) -> None:
        if text == self.query_one(Input).value:  # otherwise the text has changed during the search
            self._show_matches(matches)

    def _show_matches(self, rows: list[PairRow]) -> None:
        if rows != self.matches:  # refilling a long table takes longer than the pause between two letters
            self.matches = rows
            self._fill()

    def _leave_filter(self) -> None:
        self.query_one("#filter").display = bool(self.query_one(Input).value)
        self.query_one(PairTable).focus()

    def _sort_by(self, column: str, *, descending: bool) -> None:
        self.sort_column, self.descending = column, descending
        self._fill()

    def _fill(self) -> None:
        """Fill the table with the matching rows, sorted, and put the cursor back on the selected pair."""
        selected = self.selected
        self.shown = window(sorted_rows(self.matches, self.sort_column, descending=self.descending))
        table = self.query_one(PairTable)
        table.fill(self.shown, self.filled_cells, self.sort_column, "▼" if self.descending else "▲")
        numbers = [pair.number for pair in self.shown]
        if selected is not None and selected.number in numbers:
            table.move_cursor(row=numbers.index(selected.number))
        self._show_header()
        self._show_selected()

    def _show_header(self) -> None:
        counts = counts_text(len(self.pairs.rows), len(self.matches), len(self.shown), self.pairs.n_bad)
        name = Content.styled(f" {short_name(self.pairs.source, self.filled_cells - len(counts) - 3)} ", "bold")
        self.query_one("#header", Static).update(Content.assemble(name, f" {counts}"))

    def _show_selected(self) -> None:
        detail, summary = self.query_one(Detail), self._row_under_cursor()
        if summary is None:
            self.selected = None
            detail.show_message("no pair holds this text; esc clears the filter")
            return
        position = f"{self.query_one(PairTable).cursor_row + 1:,} of {len(self.shown):,}"
        try:
            pair = self.pairs.body(summary)
        except InputError as error:
            detail.show_message(visible(str(error)))
            return
        # the same pair after a sort or a filter: only its place has changed
        if summary is self.selected:
            detail.show_position(summary, pair, position)
        else:
            self.selected = summary
            detail.show_pair(summary, pair, position)

    def _row_under_cursor(self) -> PairRow | None:
        cursor = self.query_one(PairTable).cursor_row
        return self.shown[cursor] if 0 <= cursor < len(self.shown) else None


def short_name(source: str, most_chars: int) -> str:
    """Return the end of a path, at most three parts, cut to `most_chars` but to no fewer than 12."""
    name = visible("/".join(Path(source).parts[-3:]))
    most_chars = max(FEWEST_NAME_CHARS, most_chars)
    return name if len(name) <= most_chars else f"…{name[1 - most_chars :]}"


def write_screenshot(pairs: PairList, path: Path) -> None:
    """Write the screen with the first pair selected to the SVG file `path`, without a terminal."""

    async def picture() -> str:
        app = PairsApp(pairs)
        async with app.run_test(size=SCREENSHOT_SIZE) as pilot:
            await pilot.pause()  # until the first pair is drawn
            return app.export_screenshot()

    write_atomic(path, asyncio.run(picture()))
