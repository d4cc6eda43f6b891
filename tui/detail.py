"""The detail pane: one pair's facts, its prompt, and the two answers beside or above each other."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from records.rows import Message, Pair, text_of
from tui.evidence import constraints_text
from tui.query import PairRow
from tui.text import cell_text, detail_text, known_number, number_text


class TextPane(VerticalScroll):
    """A titled text that scrolls. It is never parsed as markup."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "app.open", "Read", id="pane.open", tooltip="Hide or show the table, to read the texts"),
        Binding("tab", "app.focus_next", "Pane", id="pane.next", tooltip="Go to the next pane"),
        Binding("j", "scroll_down", "Down", show=False, id="pane.down", tooltip="Scroll down"),
        Binding("k", "scroll_up", "Up", show=False, id="pane.up", tooltip="Scroll up"),
        Binding("g", "scroll_home", "Start", show=False, id="pane.start", tooltip="Scroll to the start"),
        Binding("G", "scroll_end", "End", show=False, id="pane.end", tooltip="Scroll to the end"),
        Binding("ctrl+d", "page_down", "Page down", show=False, id="pane.page_down", tooltip="Scroll a page down"),
        Binding("ctrl+u", "page_up", "Page up", show=False, id="pane.page_up", tooltip="Scroll a page up"),
    ]

    def compose(self) -> ComposeResult:
        """Hold one text."""
        yield Static(markup=False)

    def show(self, title: str, text: str) -> None:
        """Show `text` under `title` and scroll to its start."""
        self.border_title = Content(title)
        self.query_one(Static).update(Content(text))
        self.scroll_home(animate=False)


class Detail(Vertical):
    """The whole of one pair."""

    def compose(self) -> ComposeResult:
        """Lay out the facts, the prompt and the two answers."""
        yield Static(id="facts", markup=False)
        yield TextPane(id="prompt")
        with Container(id="answers"):
            yield TextPane(id="chosen")
            yield TextPane(id="rejected")

    def show_pair(self, summary: PairRow, pair: Pair, position: str) -> None:
        """Show `pair`. `position` is its place among the shown rows."""
        self.query_one("#facts", Static).update(Content(f" {facts_text(summary, pair, position)}"))
        title = f"prompt {cell_text(summary.prompt_id)}"
        self.query_one("#prompt", TextPane).show(title, detail_text(text_of(pair.prompt)))
        found = [constraints_text(pair.evidence, side) for side in (0, 1)]
        self._show_answer("chosen", "✓", pair.chosen, summary.chosen_score, found[0])
        self._show_answer("rejected", "✗", pair.rejected, summary.rejected_score, found[1])

    def show_position(self, summary: PairRow, pair: Pair, position: str) -> None:
        """Update the pair's place among the shown rows, keeping the scroll position of its texts."""
        self.query_one("#facts", Static).update(Content(f" {facts_text(summary, pair, position)}"))

    def show_message(self, message: str) -> None:
        """Show why there is no pair to see."""
        self.query_one("#facts", Static).update(Content(f" {message}"))
        for name in ("prompt", "chosen", "rejected"):
            self.query_one(f"#{name}", TextPane).show(name, "")

    def _show_answer(self, name: str, mark: str, answer: Sequence[Message], score: float | None, found: str) -> None:
        text = text_of(list(answer))
        title = f"{mark} {name}  score {number_text(score)}  {len(text):,} chars"
        shown = detail_text(text)
        self.query_one(f"#{name}", TextPane).show(title, f"{found}\n\n{shown}" if found else shown)


def facts_text(summary: PairRow, pair: Pair, position: str) -> str:
    """Return one line on a pair: its place, its judge, the margin, and which answer is longer."""
    judge = cell_text(str(pair.judge)) if pair.judge else "-"
    facts = [f"pair {position}", f"judge {judge}", f"margin {number_text(summary.margin)}"]
    if summary.delta_chars:
        longer, n_chars = "chosen" if summary.delta_chars > 0 else "rejected", abs(summary.delta_chars)
        facts.append(f"{longer} {n_chars:,} {'char' if n_chars == 1 else 'chars'} longer")
    if (confidence := known_number(pair.confidence)) is not None:
        facts.append(f"confidence {number_text(confidence)}")
    return " │ ".join(facts)
