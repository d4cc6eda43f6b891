"""The texts of a row: the prompt, the answers beside each other, and what the judge said."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from records.rows import text_of
from tui.browsing.state import Browsing
from tui.filters.search import places_of
from tui.reading.harness import NOT_STORED
from tui.reading.kinds import JUDGMENT, PAIR
from tui.reading.table import Body
from tui.rejudging.others import beside
from tui.text import detail_text, number_text
from tui.verdicts.diff import differing
from tui.verdicts.evidence import constraints_text
from tui.verdicts.reasons import reasons_text

PANES = ("prompt", "left", "right", "reasons")
HIT_STYLE = "reverse"
DIFF_STYLE = "bold underline"


class TextPane(VerticalScroll):
    """A titled text that scrolls. It is never parsed as markup."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "Down", show=False, id="pane.down", tooltip="Scroll down"),
        Binding("k", "scroll_up", "Up", show=False, id="pane.up", tooltip="Scroll up"),
        Binding("g", "scroll_home", "Start", show=False, id="pane.start", tooltip="Scroll to the start"),
        Binding("G", "scroll_end", "End", show=False, id="pane.end", tooltip="Scroll to the end"),
        Binding("ctrl+d", "page_down", "Page down", show=False, id="pane.page_down", tooltip="Scroll a page down"),
        Binding("ctrl+u", "page_up", "Page up", show=False, id="pane.page_up", tooltip="Scroll a page up"),
        Binding("h,left", "app.pane(-1)", "Left", show=False, id="pane.left", tooltip="The pane before"),
        Binding("l,right", "app.pane(1)", "Right", show=False, id="pane.right", tooltip="The pane after"),
        Binding("tab", "app.pane(1)", "Pane", show=False, id="pane.next", tooltip="The next pane"),
        Binding("shift+tab", "app.pane(-1)", "Pane", show=False, id="pane.previous", tooltip="The pane before"),
    ]

    text = ""

    def compose(self) -> ComposeResult:
        """Hold one text."""
        yield Static(markup=False)

    def show(self, title: str, text: str, places: Sequence[tuple[int, int, str]] = (), *, keep: bool = False) -> None:
        """Show a text under a title, with styles at some places. With `keep` it stays where it was scrolled to."""
        content = Content(text)
        for start, end, style in places:
            content = content.stylize(style, start, end)
        self.text = text
        self.border_title = Content(title)
        self.query_one(Static).update(content)
        if not keep:
            self.scroll_home(animate=False)


class Detail(Vertical):
    """One row, whole."""

    def compose(self) -> ComposeResult:
        """Lay out the facts, the prompt, the two answers and the reasons."""
        yield Static(id="facts", markup=False)
        yield Static(id="tabs", markup=False)
        yield TextPane(id="prompt")
        with Horizontal(id="answers"):
            yield TextPane(id="left")
            yield TextPane(id="right")
        yield TextPane(id="reasons")

    def pane(self, name: str) -> TextPane:
        """Return a pane by its name."""
        return self.query_one(f"#{name}", TextPane)

    def show_message(self, message: str) -> None:
        """Show why there is no row to see."""
        self.query_one("#facts", Static).update(Content(f" {message}"))
        for name in PANES:
            self.pane(name).show(_tab(name), "")

    def show_row(
        self, browsing: Browsing, body: Body, place: int, *, diff: bool, words: Sequence[str], keep: bool = False
    ) -> None:
        """Show a row. `words` are marked if they stand in it."""
        self.query_one("#facts", Static).update(Content(f" {browsing.facts(body, place)}"))
        hidden, item = browsing.is_hidden(body.row), body.item
        prompt = detail_text(text_of(item.prompt))
        self.pane("prompt").show("prompt", prompt, _hits(words, prompt), keep=keep)
        sides = [_side(body, 0, hidden=hidden), _side(body, 1, hidden=hidden)]
        if item.text_b is None:
            sides.pop()
        elif browsing.swapped(body):
            sides.reverse()
        if hidden:
            sides = [(title, text) for title, (_, text) in zip(("1  one answer", "3  the other"), sides, strict=False)]
        self._show_answers(sides, diff=diff, words=words, keep=keep)
        self.set_class(item.text_b is None, "-single")
        reasons = "(hidden until you vote)" if hidden else judge_text(browsing, body)
        self.pane("reasons").show("judge", detail_text(reasons), keep=keep)

    def _show_answers(self, sides: list[tuple[str, str]], *, diff: bool, words: Sequence[str], keep: bool) -> None:
        changes = differing(sides[0][1], sides[1][1]) if diff and len(sides) == 2 else ([], [])
        for name, side, places in zip(("left", "right"), sides, changes, strict=False):
            title, text = side
            marked = [(start, end, DIFF_STYLE) for start, end in places]
            title = f"{title}  ≠ {len(places)} differences" if diff and len(sides) == 2 else title
            self.pane(name).show(title, text, [*marked, *_hits(words, text)], keep=keep)
        if len(sides) == 1:
            self.pane("right").show("", "")

    def show_tabs(self, current: str, *, single: bool) -> None:
        """Show the names of the panes, the current one in brackets, for screens that have no room for all."""
        names = [name for name in PANES if not (single and name == "right")]
        shown = "  ".join(f"[{_tab(name)}]" if name == current else f" {_tab(name)} " for name in names)
        self.query_one("#tabs", Static).update(Content(f" {shown}   tab: next"))
        for name in PANES:
            self.pane(name).set_class(name != current, "-other")
        self.query_one("#answers").set_class(current not in ("left", "right"), "-other")
        self.query_one("#answers").set_class(current == "reasons", "-behind")
        self.pane("reasons").set_class(current != "reasons", "-behind")


def judge_text(browsing: Browsing, body: Body) -> str:
    """Return what the judge said of a row, and before it what other judges said."""
    said = [beside(browsing.view, body, browsing.others_on(body)), reasons_text(browsing.view, body)]
    return "\n\n".join(filter(None, said))


def _tab(name: str) -> str:
    return {"left": "first answer", "right": "second answer", "reasons": "judge"}.get(name, name)


def _side(body: Body, side: int, *, hidden: bool) -> tuple[str, str]:
    """Return the title and the text of an answer."""
    item = body.item
    text = item.text_a if side == 0 else item.text_b or ""
    score = item.score_a if side == 0 else item.score_b
    model = item.model_a if side == 0 else item.model_b
    won = {1: (True, False), 2: (False, True)}.get(item.winner)
    mark = "" if won is None else "✓ " if won[side] else "✗ "
    mark = "= " if item.winner == 3 else mark
    name = "answer" if item.text_b is None else "ab"[side]
    if item.kind == PAIR:
        name = f"{name} {'chosen' if side == 0 else 'rejected'}"
    facts = [f"{mark}{name}", f"score {number_text(score)}", *([] if text == NOT_STORED else [f"{len(text):,} chars"])]
    shown = detail_text(text)
    evidence = body.record.get("evidence")
    listed = evidence if isinstance(evidence, list) else [evidence]
    checks = "" if hidden or item.kind == JUDGMENT else constraints_text(listed, side)
    if model:
        facts.insert(1, detail_text(model)[:40])
    return "  ".join(facts), f"{checks}\n\n{shown}" if checks else shown


def _hits(words: Sequence[str], text: str) -> list[tuple[int, int, str]]:
    return [(start, end, HIT_STYLE) for start, end in places_of(words, text)]
