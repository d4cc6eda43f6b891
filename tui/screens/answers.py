"""Two screens on one prompt: all its answers with their scores, and the answers of each iteration side by side."""

from typing import ClassVar

import numpy as np
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import HorizontalScroll
from textual.content import Content
from textual.events import Resize
from textual.screen import Screen
from textual.widgets import Footer, Static

from console.errors import InputError
from console.visible import one_line, visible
from records.rows import text_of
from tui.browsing.state import Browsing, Group
from tui.screens.grid import Grid
from tui.screens.panes import TextPane
from tui.summary.columns import BY_NAME, Column
from tui.summary.statistics import sparkline
from tui.text import detail_text, number_text
from tui.verdicts.reasons import reasons_text

SHOWN = ("number", "iter", "a", "spread", "delta", "model", "judge", "error")
START = Column("start", "answer", 0, lambda view, row: "", lambda view, rows: rows.astype("f8"))
START_CHARS = 200
NARROWEST_CELLS = 28
CLOSE: list[BindingType] = [Binding("escape,q", "close", "Close", id="answers.close", tooltip="Back to the rows")]


class CandidatesScreen(Screen[int | None]):
    """All answers to one prompt, the best first. Its result is the row that is chosen with enter."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *CLOSE,
        Binding("enter", "choose", "Show in the table", id="answers.choose", tooltip="Show this answer in the table"),
    ]

    def __init__(self, browsing: Browsing, rows: np.ndarray) -> None:
        super().__init__()
        self._browsing = browsing
        self._rows = rows

    def compose(self) -> ComposeResult:
        """Lay out the prompt, the answers, and the selected one with what the judge said."""
        yield Static(Content(f" {self._title()}"), id="header", markup=False)
        yield Grid(self._cell, self._columns, id="candidates")
        yield TextPane(id="answer")
        yield TextPane(id="why")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Show the best answer."""
        grid = self.query_one(Grid)
        grid.show(self._rows, 0)
        grid.focus()
        self.on_grid_moved()

    def _title(self) -> str:
        scores = self._browsing.table.rows["score_a"][self._rows]
        known = scores[~np.isnan(scores)]
        span = f", scores {known.min():.2f} to {known.max():.2f}" if len(known) else ""
        prompt = self._browsing.table.head(int(self._rows[0]))
        return f"{len(self._rows)} answers{span} │ {prompt}"

    def _columns(self, width: int) -> list[Column]:
        wide = [BY_NAME[name] for name in SHOWN if width >= 100 or name in ("number", "iter", "a", "delta")]
        return [*wide, START]

    def _cell(self, column: Column, row: int) -> str:
        if column is not START:
            return column.cell(self._browsing.view, row)
        try:
            return one_line(" ".join(self._browsing.table.body(row).item.text_a[: START_CHARS * 2].split()))[
                :START_CHARS
            ]
        except InputError:
            return "(cannot be read)"

    def on_grid_moved(self) -> None:
        """Show the selected answer."""
        row = self.query_one(Grid).row
        if row is None:
            return
        try:
            body = self._browsing.table.body(row)
        except InputError as error:
            self.query_one("#answer", TextPane).show("answer", visible(str(error)))
            return
        title = f"answer  score {number_text(body.item.score_a)}  {len(body.item.text_a):,} chars"
        self.query_one("#answer", TextPane).show(title, detail_text(body.item.text_a))
        self.query_one("#why", TextPane).show("judge", detail_text(reasons_text(self._browsing.view, body)))

    def on_grid_opened(self) -> None:
        """Show the answer in the main table."""
        self.action_choose()

    def action_choose(self) -> None:
        """Show the answer in the main table."""
        self.dismiss(self.query_one(Grid).row)

    def action_close(self) -> None:
        """Go back."""
        self.dismiss(None)


class IterationsScreen(Screen[None]):
    """One prompt's answers, a column for each iteration."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *CLOSE,
        Binding("right_square_bracket,J", "other(1)", "Next answer", id="answers.next", tooltip="Its next answers"),
        Binding("left_square_bracket,K", "other(-1)", "Answer before", id="answers.before", tooltip="The ones before"),
    ]

    def __init__(self, browsing: Browsing, groups: list[Group]) -> None:
        super().__init__()
        self._browsing = browsing
        self._groups = groups
        self._place = 0

    def compose(self) -> ComposeResult:
        """Lay out the prompt, the trend of all rows, and the columns."""
        yield Static(id="header", markup=False)
        yield Static(Content(self._trend()), id="trend", markup=False)
        yield TextPane(id="prompt")
        with HorizontalScroll(id="iterations"):
            for place in range(len(self._groups)):
                yield TextPane(id=f"of{place}", classes="iteration")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Show the best answer of each iteration."""
        first = int(self._groups[0].answers[0])
        try:
            prompt = detail_text(text_of(self._browsing.table.body(first).item.prompt))
        except InputError as error:
            prompt = visible(str(error))
        self.query_one("#prompt", TextPane).show("prompt", prompt)
        self._show()
        self.query(".iteration").first().focus()

    def on_resize(self, event: Resize) -> None:
        """Give all columns the same width, and let them scroll to the side if they would be too narrow."""
        for pane in self.query(".iteration"):
            pane.styles.width = max(NARROWEST_CELLS, event.size.width // len(self._groups))

    def _trend(self) -> str:
        """Return small bars of the mean score, the mean length, and the share of kept constraints by iteration."""
        scores, lengths, kept = [], [], []
        for group in self._groups:
            known = group.all["score_a"][~np.isnan(group.all["score_a"])]
            scores.append(float(known.mean()) if len(known) else None)
            chars = group.all["chars_a"][group.all["chars_a"] >= 0]
            lengths.append(float(chars.mean()) if len(chars) else None)
            checked = group.all[(group.all["broken"] > 0) | (group.all["followed"] > 0)]
            kept.append(float((checked["broken"] == 0).mean()) if len(checked) else None)
        named = [("mean score", scores), ("mean chars", lengths), ("all constraints kept", kept)]
        shown = [
            f"{name} {sparkline(values)} {' '.join(_figure(value) for value in values)}"
            for name, values in named
            if any(value is not None for value in values)
        ]
        return " " + " │ ".join(shown)

    def _show(self) -> None:
        header = f" answer {self._place + 1} of up to {self._most()} of each iteration, the best first"
        self.query_one("#header", Static).update(Content(header))
        for place, group in enumerate(self._groups):
            pane, name = self.query_one(f"#of{place}", TextPane), one_line(group.label)
            if self._place >= len(group.answers):
                pane.show(name, "(no further answer)")
                continue
            try:
                item = self._browsing.table.body(int(group.answers[self._place])).item
            except InputError as error:
                pane.show(name, visible(str(error)))
                continue
            score = "" if item.score_a is None else f"  score {number_text(item.score_a)}"
            title = f"{name}{score}  {len(item.text_a):,} chars"
            pane.show(title, detail_text(item.text_a))

    def _most(self) -> int:
        return max(len(group.answers) for group in self._groups)

    def action_other(self, step: int) -> None:
        """Show each iteration's next answer, or the one before."""
        self._place = max(0, min(self._place + step, self._most() - 1))
        self._show()

    def action_close(self) -> None:
        """Go back."""
        self.dismiss(None)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"
