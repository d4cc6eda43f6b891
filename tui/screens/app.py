"""The main screen: a table of verdicts above, the selected one whole below, and the keys for both."""

from collections.abc import Iterable
from typing import ClassVar

from textual.app import SystemCommand
from textual.binding import BindingType
from textual.events import Resize
from textual.screen import Screen
from textual.widgets import Input, Static

from tui.filters.completion import is_begun
from tui.screens import doing
from tui.screens.bindings import MAIN
from tui.screens.filter_line import FilterInput
from tui.screens.grid import Grid
from tui.screens.host import RowsApp
from tui.screens.panes import PANES, TextPane
from tui.screens.rejudging import rejudge
from tui.screens.themes import THEMES

TYPING_PAUSE_S = 0.1
"""The pause in typing after which a filter is tried."""
OPEN = "-open"
OF_MAIN = {binding.action.partition("(")[0] for binding in MAIN} - {"help", "theme"}
"""Actions that mean nothing on the screens of one prompt."""


class BrowserApp(RowsApp):
    """The screen with its keys. It writes nothing but votes and exports."""

    BINDINGS: ClassVar[list[BindingType]] = list(MAIN)

    def on_grid_moved(self) -> None:
        """Show the row under the cursor."""
        self.show_selected()
        self.show_header()

    def on_grid_title_clicked(self, event: Grid.TitleClicked) -> None:
        """Sort by the clicked column."""
        self.browsing.sort_by(event.column)
        self.refilter()

    def on_grid_opened(self) -> None:
        """Read the row that was clicked twice."""
        self.action_open()

    def on_resize(self, event: Resize) -> None:
        """Fit the header to the new width. The table fits itself."""
        self.show_header(event.size.width)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter by what is typed so far."""
        if event.input is self.line and not self._is_finding and event.value != self.browsing.line:
            self.browsing.line = event.value
            self.set_timer(TYPING_PAUSE_S, lambda: self._typed(event.value))

    def _typed(self, value: str) -> None:
        if value == self.browsing.line and not is_begun(value):  # otherwise more was typed since
            self.refilter()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the filter, or find the text, and go to the table."""
        if event.input is not self.line:
            return
        if self._is_finding:
            self._end_finding(event.value)
            doing.find(self, 1)
        else:
            self.refilter()
        self._leave_line()

    def _end_finding(self, text: str) -> None:
        self._is_finding, self.found = False, text
        self.query_one("#filter-name", Static).update(" filter: ")
        self.line.value = self.browsing.line
        self.show_selected(keep=True)

    def _leave_line(self) -> None:
        self.query_one("#filter").display = bool(self.line.value)
        self.screen.set_focus(self.grid)

    # keys

    def action_filter(self) -> None:
        """Open the filter line."""
        self.query_one("#filter").display = True
        self.screen.set_focus(self.line)  # at once, and not later as `focus` does: the next letter may be here already
        self.line.cursor_position = len(self.line.value)

    def action_find(self) -> None:
        """Ask for a text to find."""
        self._is_finding = True
        self.query_one("#filter-name", Static).update(" find: ")
        self.line.value = self.found
        self.action_filter()

    def action_leave(self) -> None:
        """Go one step back: from the texts to the table, from a filter to all rows."""
        if self._is_finding:
            self._end_finding("")
        elif isinstance(self.focused, FilterInput) or (self.focused is self.grid and not self.screen.has_class(OPEN)):
            self.set_filter("")
        self.screen.remove_class(OPEN)
        self._leave_line()

    def action_open(self) -> None:
        """Hide the table to give the texts the whole screen, or show it again."""
        if self.screen.has_class(OPEN):
            self.screen.remove_class(OPEN)
            self.screen.set_focus(self.grid)
        elif self.grid.row is not None:
            self.screen.add_class(OPEN)
            if not isinstance(self.focused, TextPane):
                self._focus_pane("left")

    def action_pane(self, step: int) -> None:
        """Go to another pane, the table among them."""
        if len(self.screen_stack) > 1:
            self.screen.focus_next() if step > 0 else self.screen.focus_previous()
            return
        right = self.detail.has_class("-single")
        names = [
            *([] if self.screen.has_class(OPEN) else ["rows"]),
            *(n for n in PANES if not (right and n == "right")),
        ]
        current = self.focused.id if self.focused is not None and self.focused.id in names else "rows"
        name = names[(names.index(current) + step) % len(names)] if current in names else names[0]
        self._focus_pane(name)

    def _focus_pane(self, name: str) -> None:
        if name == "rows":
            self.screen.set_focus(self.grid)
            return
        self.pane = name
        self.show_tabs(single=self.detail.has_class("-single"))
        self.screen.set_focus(self.detail.pane(name))

    def action_step(self, rows: int) -> None:
        """Select the previous or the next row, from any pane."""
        self.grid.cursor += rows

    def action_sort(self) -> None:
        """Sort by the selected column."""
        self.browsing.sort_by(self.grid.column)
        self.refilter()

    def action_reverse(self) -> None:
        """Turn the order of the sort round."""
        self.browsing.descending = not self.browsing.descending
        self.refilter()

    def action_kind(self) -> None:
        """Show another kind of row."""
        self.browsing.next_kind()
        self.refilter(keep=True)

    def action_diff(self) -> None:
        """Mark the words in which the answers differ, or no longer."""
        self.diff = not self.diff
        self.show_selected(keep=True)

    def action_theme(self) -> None:
        """Change to the next theme."""
        self.theme = THEMES[(THEMES.index(self.theme) + 1) % len(THEMES)] if self.theme in THEMES else THEMES[0]

    def action_next_hit(self, step: int) -> None:
        """Go to the next row with the text."""
        doing.find(self, step)

    def action_vote(self, side: int) -> None:
        """Vote on the row."""
        doing.vote(self, side)

    def action_undo(self) -> None:
        """Take the latest vote back."""
        doing.undo(self)

    def action_blind(self) -> None:
        """Vote blind, or see everything again."""
        self.browsing.blind = not self.browsing.blind
        self.show_header()
        self.grid.refresh()
        self.show_selected()

    def action_note(self) -> None:
        """Ask for a note to the vote."""
        doing.note(self)

    def action_queue(self) -> None:
        """Choose what to vote on next."""
        doing.choose_queue(self)

    def action_presets(self) -> None:
        """Choose a ready filter."""
        doing.choose_preset(self)

    def action_frequencies(self) -> None:
        """Count the values of the selected column."""
        doing.count_values(self)

    def action_statistics(self) -> None:
        """Show the figures of what is shown."""
        doing.show_statistics(self)

    def action_candidates(self) -> None:
        """Show all answers to the prompt."""
        doing.show_candidates(self)

    def action_iterations(self) -> None:
        """Show the answers of each iteration to the prompt."""
        doing.show_iterations(self)

    def action_export(self) -> None:
        """Ask where to write what is shown."""
        doing.ask_export(self)

    def action_copy(self) -> None:
        """Choose what to copy."""
        doing.choose_copy(self)

    def action_pager(self) -> None:
        """Open the row in the person's pager."""
        doing.open_pager(self)

    def action_rejudge(self) -> None:
        """Ask another judge about the row."""
        rejudge(self)

    def action_help(self) -> None:
        """Show all keys."""
        doing.show_help(self)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Offer every key of the main screen in the palette, and nothing else."""
        for binding in MAIN:
            action = binding.action
            yield SystemCommand(binding.description, binding.tooltip, lambda action=action: self._run_later(action))

    def _run_later(self, action: str) -> None:
        self.call_later(self.run_action, action)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Turn the keys of the main screen off while something is typed, and on other screens."""
        if len(self.screen_stack) > 1 and action in OF_MAIN:
            return False
        return not (isinstance(self.focused, Input) and action in {"filter", "find", "pane", "open"})
