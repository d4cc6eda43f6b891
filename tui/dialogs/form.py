"""Two small screens on top: several lines to fill in, and a question with yes or no."""

from collections.abc import Mapping
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static


class Form(ModalScreen[dict[str, str] | None]):
    """Lines to fill in, each under a name. Its result is the lines by their names, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close", id="form.close", tooltip="Close without doing it"),
        Binding("down", "app.focus_next", "Next", id="form.down", tooltip="The next line"),
        Binding("up", "app.focus_previous", "Previous", id="form.up", tooltip="The line before"),
    ]

    def __init__(self, title: str, values: Mapping[str, str], hint: str) -> None:
        super().__init__()
        self._title, self._values, self._hint = title, values, hint

    def compose(self) -> ComposeResult:
        """Lay out the lines."""
        with Vertical(id="dialog") as box:
            box.border_title = Content(self._title)
            for name, value in self._values.items():
                with Horizontal(classes="line"):
                    yield Static(Content(f"{name:<10}"), classes="name", markup=False)
                    yield Input(value, id=f"line-{name}", compact=True, select_on_focus=False)
            yield Static(Content(self._hint), markup=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Return all lines."""
        event.stop()
        self.dismiss({name: self.query_one(f"#line-{name}", Input).value for name in self._values})

    def action_close(self) -> None:
        """Return nothing."""
        self.dismiss(None)


class Confirm(ModalScreen[bool]):
    """A question. Its result is whether it was answered with yes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,y", "answer(True)", "Yes", id="confirm.yes", tooltip="Do it"),
        Binding("escape,n,q", "answer(False)", "No", id="confirm.no", tooltip="Do not do it"),
    ]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title, self.text = title, text

    def compose(self) -> ComposeResult:
        """Lay out the question."""
        with Vertical(id="dialog") as box:
            box.border_title = Content(self._title)
            yield Static(Content(f"{self.text}\n\nenter, y: do it    esc, n: do not"), markup=False)

    def action_answer(self, is_yes: bool) -> None:
        """Return the answer."""
        self.dismiss(is_yes)
