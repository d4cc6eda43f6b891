"""The line at the bottom for filters and texts to find, which completes what is typed."""

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.suggester import Suggester
from textual.widgets import Input

from tui.filters.completion import completions
from tui.reading.table import Table


class Completing(Suggester):
    """Suggests the likeliest whole line."""

    def __init__(self, table: Table) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._table = table

    async def get_suggestion(self, value: str) -> str | None:
        """Return the line that `value` probably becomes."""
        return next(iter(completions(value, self._table)), None)


class FilterInput(Input):
    """The line. It takes every letter, so the screen's keys are off while it has the focus."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "Keep", id="line.keep", tooltip="Keep it and go to the table"),
        Binding("escape", "app.leave", "Clear", id="line.clear", tooltip="Clear it and go to the table"),
        Binding("tab", "complete", "Complete", id="line.complete", tooltip="Complete the word; again: the next choice"),
    ]

    def __init__(self, table: Table) -> None:
        super().__init__(compact=True, suggester=Completing(table), select_on_focus=False)
        self._table = table
        self._choices: list[str] = []

    def action_complete(self) -> None:
        """Put the next completion in the line."""
        if self.value not in self._choices or len(self._choices) == 1:
            self._choices = completions(self.value, self._table)
            at = 0
        else:
            at = (self._choices.index(self.value) + 1) % len(self._choices)
        if self._choices:
            self.value = self._choices[at]
            self.cursor_position = len(self.value)
