"""The help screen: every key of the main screen with its action."""

from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

KEY_CELLS = 12
SHOWN_KEYS = {
    "slash": "/",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "question_mark": "?",
    "escape": "esc",
}


class HelpScreen(ModalScreen[None]):
    """Lists the keys of the table, the text panes and the screen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q", "dismiss", "Close", id="help.close", tooltip="Close the help"),
        Binding("j", "scroll(1)", "Down", id="help.down", tooltip="Scroll down"),
        Binding("k", "scroll(-1)", "Up", id="help.up", tooltip="Scroll up"),
    ]

    def __init__(self, sections: dict[str, Iterable[BindingType]]) -> None:
        super().__init__()
        self._text = help_text(sections)

    def compose(self) -> ComposeResult:
        """Lay out the list of keys."""
        with VerticalScroll(id="help") as box:
            box.border_title = Content("keys")
            yield Static(Content(self._text), markup=False)

    def action_scroll(self, lines: int) -> None:
        """Scroll the list of keys."""
        self.query_one("#help").scroll_relative(y=lines, animate=False)


def help_text(sections: dict[str, Iterable[BindingType]]) -> str:
    """Return the keys of each section as lines of a key and its action."""
    blocks = []
    for title, bindings in sections.items():
        keys = [binding for binding in bindings if isinstance(binding, Binding)]
        lines = [f"  {shown_key(binding.key):<{KEY_CELLS}}{binding.tooltip}" for binding in keys]
        blocks.append("\n".join([title, *lines]))
    return "\n\n".join(blocks)


def shown_key(key: str) -> str:
    """Return a key as it is printed on a keyboard."""
    return " ".join(SHOWN_KEYS.get(name, name) for name in key.split(","))
