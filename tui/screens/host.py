"""The contents of the main screen: rows as they are read, those that pass the filter, and the selected one whole."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
from textual import work
from textual.app import App, ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.css.query import NoMatches
from textual.widgets import Footer, Static
from textual.worker import get_current_worker

from console.errors import InputError
from console.visible import visible
from tui.browsing.state import BLIND_HIDES, Browsing
from tui.filters.search import search
from tui.reading.table import Body
from tui.rejudging.asking import Asked
from tui.screens.filter_line import FilterInput
from tui.screens.grid import Grid
from tui.screens.header import header_text
from tui.screens.panes import Detail
from tui.screens.themes import HIGH_CONTRAST, THEMES
from tui.summary.columns import Column, columns_for, without_value

SHOW_EVERY_S = 0.15
LOOK_EVERY_S = 1.0
BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]
LOW = [(0, "-low"), (20, "-high")]
NOTHING = "no row passes the filter; esc clears it"


class RowsApp(App[None]):
    """Shows the rows of a table as they come. The keys are in `BrowserApp`."""

    TITLE = "judgeloop"
    CSS_PATH = "app.tcss"
    HORIZONTAL_BREAKPOINTS = BREAKPOINTS
    VERTICAL_BREAKPOINTS = LOW

    def __init__(
        self, browsing: Browsing, reading: Iterator[int] | None = None, *, theme: str = THEMES[0], follow: bool = True
    ) -> None:
        super().__init__()
        self.browsing = browsing
        self.table = browsing.table
        self.diff = False
        self.found = ""
        """The text to find, which is marked in the texts."""
        self.pane = "left"
        self.message = ""
        """A state in the header, such as the share of a file that is read."""
        self.asking = ""
        """What another judge is asked at the moment."""
        self.last_asked: dict[bool, Asked] = {}
        """The judge that was asked last about one answer (True) and about two."""
        self._reading = reading
        self._is_reading = reading is not None
        self._n_shown = -1
        self._started_by = os.getppid()
        self._follow = follow
        self._first_theme = theme
        self._is_finding = False
        self._n_said = 0
        self._without_value: frozenset[str] = frozenset()
        self._columns_of = (-1, "")
        """The number of rows and the kind of which `_without_value` was found."""

    def compose(self) -> ComposeResult:
        """Lay out the header, the table, the filter line, the detail and the keys."""
        yield Static(id="header", markup=False)
        yield Grid(self._cell, self._columns, id="rows")
        with Horizontal(id="filter"):
            yield Static(" filter: ", id="filter-name", markup=False)
            yield FilterInput(self.table)
        yield Static("", id="filter-error", markup=False)
        yield Detail(id="detail")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Show what is read so far, and read on."""
        self.register_theme(HIGH_CONTRAST)
        self.theme = self._first_theme
        self.line.value = self.browsing.line
        self.query_one("#filter").display = bool(self.browsing.line)
        self._n_shown = len(self.table)
        self.refilter()
        self.grid.focus()
        if self._reading is not None:
            self._read(self._reading)
        if self._follow:
            self.set_interval(LOOK_EVERY_S, self._look_if_idle)

    @property
    def grid(self) -> Grid:
        """Return the table."""
        return self.query_one("#rows", Grid)

    @property
    def detail(self) -> Detail:
        """Return the detail below it."""
        return self.query_one(Detail)

    @property
    def line(self) -> FilterInput:
        """Return the filter line."""
        return self.query_one(FilterInput)

    def _cell(self, column: Column, row: int) -> str:
        try:
            return column.cell(self.browsing.view, row)
        except IndexError:  # a file was replaced a moment ago, and the new rows are about to be shown
            return ""

    def _columns(self, width: int) -> list[Column]:
        hidden = BLIND_HIDES if self.browsing.blind else frozenset()
        return columns_for(self.browsing.kind, width, hidden | self._without_value)

    def show_from_thread(self, show: Callable[..., object], *values: Any) -> None:
        """Call a function of the screen from another thread, unless the screen is being closed."""

        def shown() -> None:
            try:
                show(*values)
            except NoMatches:
                if self.query("#header"):
                    raise

        self.call_from_thread(shown)

    # reading and following

    @work(thread=True)
    def _read(self, reading: Iterator[int]) -> None:
        worker, shown = get_current_worker(), 0.0
        try:
            for _ in reading:
                if worker.is_cancelled:  # the screen is closed
                    return
                if time.monotonic() - shown > SHOW_EVERY_S:
                    shown = time.monotonic()
                    self.show_from_thread(self._grown)
        except InputError as error:
            self.show_from_thread(self.tell, str(error))
        self._is_reading = False
        self.show_from_thread(self._grown)

    def _look_if_idle(self) -> None:
        if self.is_web and os.getppid() != self._started_by:
            self.exit()  # the server was killed, and nobody can see or end this tab any more
        if not self._is_reading:
            self._look()

    @work(thread=True, exclusive=True, group="look")
    def _look(self) -> None:
        worker, before = get_current_worker(), self.table.progress
        changed = self.table.changed()
        if self.table.progress != before:
            self.show_from_thread(self.show_header)
        if changed or self._n_said < len(self.table.notices):
            try:
                for _ in self.table.read(lambda: worker.is_cancelled):
                    pass
            except InputError as error:
                self.show_from_thread(self.tell, str(error))
        if self.browsing.tally.follow() or changed or self._n_said < len(self.table.notices):
            self.show_from_thread(self._grown)

    def _grown(self) -> None:
        done, total, was_reading = self.table.done_bytes, self.table.total_bytes, self.message
        self.message = f"reading {done / max(total, 1):.0%}" if done < total else ""
        for notice in self.table.notices[self._n_said :]:
            self.tell(notice, severity="warning")
        self._n_said = len(self.table.notices)
        has_votes = self.browsing.tally.follow()
        if has_votes or len(self.table) != self._n_shown or (was_reading and not self.message):
            self._n_shown = len(self.table)
            self.refilter(keep=True)
        else:
            self.show_header()

    # filtering

    def refilter(self, *, keep: bool = True) -> None:
        """Apply the filter and the order again. With `keep` the cursor stays on its row."""
        if not self.query("#rows"):  # the screen is being closed, and a timer or a thread comes late
            return
        selected = self.grid.row if keep else None
        try:
            rows, texts = self.browsing.passing()
        except InputError as error:
            self._say_wrong(f" ✗ {visible(str(error))}")
            return
        self._say_wrong("")
        if texts:
            self._search(rows, selected)
        else:
            self.workers.cancel_group(self, "search")
            self._show(rows, selected)

    def _say_wrong(self, message: str) -> None:
        line = self.query_one("#filter-error", Static)
        line.update(Content(message))
        line.display = bool(message)

    @work(thread=True, exclusive=True, group="search")
    def _search(self, rows: np.ndarray, selected: int | None) -> None:
        worker, shown = get_current_worker(), 0.0
        is_hit = np.zeros(rows.max(initial=0) + 1, dtype=bool)
        # In the order of the file, in which blocks can be read, and shown in the order of the screen.
        for seen, hits in search(self.table, np.sort(rows), self.browsing.filter().texts, lambda: worker.is_cancelled):
            is_hit[hits] = True
            if time.monotonic() - shown > SHOW_EVERY_S and seen < len(rows):
                shown = time.monotonic()
                state = f"searching {seen / len(rows):.0%}"
                self.show_from_thread(self._show, rows[is_hit[rows]], selected, state)
        if not worker.is_cancelled:
            self.show_from_thread(self._show, rows[is_hit[rows]], selected, "")

    def _show(self, rows: np.ndarray, selected: int | None, state: str | None = None) -> None:
        self.browsing.order = rows
        if self._columns_of != (len(self.table), self.browsing.kind):
            self._columns_of = (len(self.table), self.browsing.kind)
            self._without_value = without_value(self.browsing.view, self.browsing.kind)
        places: list[int] = np.flatnonzero(rows == selected).tolist() if selected is not None else []
        mark = "▼" if self.browsing.descending else "▲"
        sorted_by = ("", "") if self.browsing.queue else (self.browsing.sort_column, mark)
        self.grid.show(rows, places[0] if places else 0, sorted_by)
        if state is not None:
            self.message = state
        self.show_header()
        self.show_selected(keep=bool(places))

    def show_header(self, width: int | None = None) -> None:
        """Write the first line anew, for a width that is not the screen's yet or for the screen's."""
        message = " │ ".join(filter(None, (self.message, self.asking)))
        self.query_one("#header", Static).update(header_text(self.browsing, message, width or self.size.width))

    def show_asking(self, state: str) -> None:
        """Say in the first line what another judge is asked."""
        self.asking = state
        self.show_header()

    def body(self) -> Body | None:
        """Return the selected row, or None if there is none or it cannot be read, which is then said."""
        row = self.grid.row
        if row is None:
            self.detail.show_message(NOTHING if len(self.table) else visible(self.table.nothing()))
            return None
        try:
            return self.table.body(row)
        except InputError as error:
            self.detail.show_message(visible(str(error)))
            return None

    def show_selected(self, *, keep: bool = False) -> None:
        """Show the row under the cursor. With `keep` its texts stay where they were scrolled to."""
        body = self.body()
        if body is None:
            return
        words = [self.found] if self.found else []
        with suppress(InputError):
            words += [text.wanted for text in self.browsing.filter().texts if not text.without]
        self.detail.show_row(self.browsing, body, self.grid.cursor, diff=self.diff, words=words, keep=keep)
        self.show_tabs(single=body.item.text_b is None)

    def show_tabs(self, *, single: bool) -> None:
        """Say which pane is current, if not all have room."""
        if single and self.pane == "right":
            self.pane = "left"
        self.detail.show_tabs(self.pane, single=single)

    def tell(self, message: str, severity: str = "error") -> None:
        """Show a notice for some seconds."""
        self.notify(visible(message), severity=severity, markup=False)  # type: ignore[arg-type]

    def set_filter(self, line: str) -> None:
        """Filter by a line."""
        self.browsing.line = self.line.value = line
        self.query_one("#filter").display = bool(line)
        self.refilter()
