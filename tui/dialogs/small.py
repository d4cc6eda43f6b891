"""Small screens on top: a list to choose from, a line to type, a text to read."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

CLOSE: list[BindingType] = [
    Binding("escape,q", "close", "Close", id="dialog.close", tooltip="Close"),
]


class Choice(ModalScreen[str | None]):
    """A list, of which one line is chosen. Its result is the line's key, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *CLOSE,
        Binding("j", "move(1)", "Down", id="list.down", tooltip="Next line"),
        Binding("k", "move(-1)", "Up", id="list.up", tooltip="Previous line"),
    ]

    def __init__(self, title: str, options: Sequence[tuple[str, str]]) -> None:
        """Show the second of each two, and return the first."""
        super().__init__()
        self._title = title
        self._options = options

    def compose(self) -> ComposeResult:
        """Lay out the list."""
        with Vertical(id="dialog") as box:
            box.border_title = Content(self._title)
            yield OptionList(*(Option(Content(text)) for _, text in self._options), markup=False)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Return the chosen line."""
        event.stop()
        self.dismiss(self._options[event.option_index][0])

    def action_move(self, lines: int) -> None:
        """Move to another line."""
        options = self.query_one(OptionList)
        options.action_cursor_down() if lines > 0 else options.action_cursor_up()

    def action_close(self) -> None:
        """Return nothing."""
        self.dismiss(None)


class Ask(ModalScreen[str | None]):
    """A line to type. Its result is the line, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close", id="ask.close", tooltip="Close without doing it"),
    ]

    def __init__(self, title: str, value: str = "", hint: str = "", *, replaced: bool = False) -> None:
        super().__init__()
        self._title, self._value, self._hint = title, value, hint
        self._is_replaced = replaced
        """Whether what is typed takes the place of the value, as of a file's name, and is not added to it."""

    def compose(self) -> ComposeResult:
        """Lay out the line."""
        with Vertical(id="dialog") as box:
            box.border_title = Content(self._title)
            yield Input(self._value, compact=True, select_on_focus=self._is_replaced)
            if self._hint:
                yield Static(Content(self._hint), markup=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Return the line."""
        event.stop()
        self.dismiss(event.value)

    def action_close(self) -> None:
        """Return nothing."""
        self.dismiss(None)


class Reader(ModalScreen[None]):
    """A text to read."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,enter", "close", "Close", id="reader.close", tooltip="Close"),
        Binding("j,down", "scroll(1)", "Down", id="reader.down", tooltip="Scroll down"),
        Binding("k,up", "scroll(-1)", "Up", id="reader.up", tooltip="Scroll up"),
    ]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title, self.text = title, text

    def compose(self) -> ComposeResult:
        """Lay out the text."""
        with VerticalScroll(id="dialog") as box:
            box.border_title = Content(self._title)
            yield Static(Content(self.text), markup=False)

    def action_scroll(self, lines: int) -> None:
        """Scroll the text."""
        self.query_one("#dialog").scroll_relative(y=lines, animate=False)

    def action_close(self) -> None:
        """Close the text."""
        self.dismiss(None)
