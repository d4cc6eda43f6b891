"""The key that asks another judge about a row: the form, the cost, and the verdict when it comes."""

from functools import partial

from textual.worker import get_current_worker

from console.errors import JudgeloopError
from console.visible import one_line, visible
from tui.dialogs.form import Confirm, Form
from tui.reading.table import Body
from tui.rejudging.asking import READINGS, Asked, Cost, ask, cost_of, prefilled, question
from tui.rejudging.others import verdict
from tui.screens.host import RowsApp

HINT = f"read: {', '.join(READINGS)}. A key for a server comes from OPENAI_API_KEY.\nenter: what it costs    esc: no"
NAMES = {"model": "model", "engine": "engine", "base-url": "base_url", "rubric": "rubric", "read": "read"}
"""The lines of the form, as the flags are called, and their names in `Asked`."""


def rejudge(app: RowsApp) -> None:
    """Ask which judge to ask about the selected row, then what it costs, and then the judge."""
    body = app.body()
    if body is None:
        return
    if app.browsing.is_hidden(body.row):
        app.tell("vote first: this would show the verdict", severity="warning")
        return
    if app.asking:
        app.tell(f"one judge at a time: {app.asking}", severity="warning")
        return
    try:
        question(body)
    except JudgeloopError as error:
        app.tell(str(error))
        return
    source = app.table.source
    asked = app.last_asked.get(body.item.text_b is None) or prefilled(body, source.run_of(body.path))

    def use(lines: dict[str, str] | None) -> None:
        if lines is not None:
            begin(app, body, Asked(**{NAMES[name]: line for name, line in lines.items()}))

    lines = {name: getattr(asked, known) for name, known in NAMES.items()}
    app.push_screen(Form("another judge on this row", lines, HINT), use)


def begin(app: RowsApp, body: Body, asked: Asked) -> None:
    """Find out what it costs to ask, behind the screen."""
    app.last_asked[body.item.text_b is None] = asked
    app.show_asking(f"what {one_line(asked.model)[:24]} costs")
    app.run_worker(partial(_cost, app, body, asked), thread=True, group="rejudge")


def _cost(app: RowsApp, body: Body, asked: Asked) -> None:
    worker = get_current_worker()
    try:
        cost = cost_of(body, asked, lambda: worker.is_cancelled)
    except JudgeloopError as error:
        _failed(app, error, is_over=worker.is_cancelled)
        return
    app.show_from_thread(_confirm, app, body, asked, cost)


def _confirm(app: RowsApp, body: Body, asked: Asked, cost: Cost) -> None:
    app.show_asking("")

    def use(is_yes: bool | None) -> None:
        if is_yes:
            app.show_asking(f"asking {one_line(asked.model)[:24]}")
            app.run_worker(partial(_ask, app, body, asked), thread=True, group="rejudge")

    app.push_screen(Confirm("ask this judge?", visible(str(cost))), use)


def _ask(app: RowsApp, body: Body, asked: Asked) -> None:
    worker = get_current_worker()
    votes = app.table.source.votes_of(body.path)
    try:
        row = ask(body, asked, lambda: worker.is_cancelled)
        other = app.browsing.others.append(votes, row, asked)
    except JudgeloopError as error:
        _failed(app, error, is_over=worker.is_cancelled)
        return
    app.show_from_thread(
        _done, app, f"{one_line(other.name)[:40]}: {verdict(other.item)}; before: {verdict(body.item)}"
    )


def _done(app: RowsApp, message: str) -> None:
    app.show_asking("")
    app.tell(message, severity="information")
    app.show_selected(keep=True)


def _failed(app: RowsApp, error: JudgeloopError, *, is_over: bool) -> None:
    if not is_over:  # otherwise the screen is closed, and nobody is there to be told
        app.show_from_thread(partial(app.show_selected, keep=True))
        app.show_from_thread(app.show_asking, "")
        app.show_from_thread(app.tell, str(error))
