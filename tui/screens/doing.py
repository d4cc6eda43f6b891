"""The work of the main screen's keys beyond moving about: voting, finding, counting, copying, writing files."""

import os
import shlex
import subprocess
import tempfile
from functools import partial
from pathlib import Path

import msgspec
from textual.worker import get_current_worker

from console.errors import JudgeloopError
from console.visible import one_line, visible
from records.rows import text_of
from tui.browsing.state import ALL, Browsing
from tui.dialogs.small import Ask, Choice, Reader
from tui.filters.fields import PRESETS
from tui.screens.answers import CandidatesScreen, IterationsScreen
from tui.screens.bindings import MAIN
from tui.screens.filter_line import FilterInput
from tui.screens.grid import Grid, fitted
from tui.screens.host import RowsApp
from tui.screens.keys import help_text
from tui.screens.panes import TextPane
from tui.summary.columns import BY_NAME
from tui.summary.export import export, format_of, markdown_of
from tui.summary.statistics import agreement_lines, bar, frequencies, statistics
from tui.voting.queue import QUEUES

BAR_CELLS = 20  # a value with its bar is one line of a list at 80 cells
MOST_BAD_SHOWN = 20


def find(app: RowsApp, step: int) -> None:
    """Go to the next row with the text to find, or else with the first word of the filter."""
    text = app.found
    if not text:
        texts = [part.wanted for part in app.browsing.filter().texts if not part.without]
        text = texts[0] if texts else ""
    if not text:
        app.tell("nothing to find yet: f asks for a text", severity="warning")
        return
    app.run_worker(partial(_find, app, text, step), thread=True, exclusive=True, group="find")


def _find(app: RowsApp, text: str, step: int) -> None:
    worker = get_current_worker()
    for place in app.browsing.find(text, app.grid.cursor, step, lambda: worker.is_cancelled):
        if place is not None:
            app.show_from_thread(setattr, app.grid, "cursor", place)
            return
    if not worker.is_cancelled:
        app.show_from_thread(app.tell, f"no row has '{text}'", "warning")


def vote(app: RowsApp, shown_side: int) -> None:
    """Vote on the selected row, and go to the next one."""
    body = app.body()
    if body is None:
        return
    try:
        cast = app.browsing.vote(body, shown_side)
    except JudgeloopError as error:
        app.tell(str(error))
        return
    app.tell(f"voted {cast.winner} on {one_line(body.item.prompt_id)[:40]}; u takes it back", severity="information")
    app.show_header()
    if app.grid.cursor + 1 < len(app.browsing.order) and not app.browsing.blind:
        app.grid.cursor += 1
    elif app.browsing.blind:
        app.show_selected(keep=True)  # the names, and what the judge said
    app.grid.refresh()
    app.show_selected(keep=True)


def undo(app: RowsApp) -> None:
    """Take the latest vote back, and go to its row."""
    last = app.browsing.log.last_of(app.browsing.voter)
    if last is None:
        app.tell("there is no vote of yours to take back", severity="warning")
        return
    places = app.browsing.rows_of(last)
    try:
        app.browsing.undo()
    except JudgeloopError as error:
        app.tell(str(error))
        return
    app.tell(f"took back {last.winner} on {one_line(last.prompt_id)[:40]}", severity="information")
    if places:
        app.grid.cursor = places[0]
    app.grid.refresh()
    app.show_header()
    app.show_selected(keep=True)


def note(app: RowsApp) -> None:
    """Ask for a note to the vote on the row."""
    body = app.body()
    if body is None:
        return

    def write(text: str | None) -> None:
        if text is None:
            return
        try:
            written = app.browsing.note(body, text)
        except JudgeloopError as error:
            app.tell(str(error))
            return
        app.tell("noted" if written else "the note goes with your vote: 1, 2 or 3", severity="information")
        app.show_selected(keep=True)

    app.push_screen(Ask("note to your vote", app.browsing.note_on(body.row)), write)


def choose_queue(app: RowsApp) -> None:
    """Choose the order in which to vote."""
    options = [(str(name), f"{name}: {what}") for name, what in QUEUES.items()]

    def use(name: str | None) -> None:
        if name is not None:
            app.browsing.queue = name if name in QUEUES else None
            app.refilter(keep=False)

    app.push_screen(Choice("what to vote on next", [*options, ("", "no queue: as it is sorted")]), use)


def choose_preset(app: RowsApp) -> None:
    """Choose a ready filter."""
    options = [(line, f"{name:<22} {line}") for name, line in PRESETS.items()]
    app.push_screen(Choice("filters", options), lambda line: app.set_filter(line) if line is not None else None)


def count_values(app: RowsApp) -> None:
    """Show how often each value of the selected column occurs. The chosen value becomes a part of the filter."""
    if app.browsing.blind:
        app.tell("not while voting blind", severity="warning")
        return
    counts = frequencies(app.browsing.view, app.browsing.order, app.grid.column)
    if not counts:
        app.tell("this column has no value here", severity="warning")
        return
    total, most = len(app.browsing.order), max(count.n for count in counts)
    options = [(count.filter, _count_line(count.value, count.n, count.n / total, count.n / most)) for count in counts]

    def use(term: str | None) -> None:
        if term:
            app.set_filter(f"{app.browsing.line} {term}".strip())

    app.push_screen(Choice(f"{app.grid.column}: {len(counts)} values; enter keeps one", options), use)


def _count_line(value: str, n: int, share: float, of_most: float) -> str:
    return f"{fitted(one_line(value), 30)} {n:>9,} {share:>6.1%} {bar(of_most, BAR_CELLS)}"


def statistics_text(app: RowsApp) -> str:
    """Return the figures of what is shown, the agreement, and a histogram of the selected column."""
    browsing = app.browsing
    figures = {
        name: value for name, value in statistics(browsing.view, browsing.order).items() if value not in (None, 0)
    }
    width = max(map(len, figures), default=0)
    parts = ["\n".join(f"{name:<{width}}  {_shown(value)}" for name, value in figures.items())]
    if lines := agreement_lines(browsing.view):
        parts.append("agreement (kappa is Cohen's)\n" + "\n".join(lines))
    if unmatched := browsing.tally.unmatched():
        named = ", ".join(one_line(key[0])[:30] for key in unmatched[:5])
        parts.append(f"votes that match no row here: {len(unmatched):,} ({named})")
    if browsing.log.votes:
        parts.append(f"the next training\n{next_pairs(browsing)}")
    column = app.grid.column
    if column in ("number", "prompt"):  # every row has another one
        column = "a" if browsing.kind in ("pair", "judgment") else "winner"
    counts = frequencies(browsing.view, browsing.order, column)
    most = max((count.n for count in counts), default=1)
    rows = [_count_line(count.value, count.n, count.n / len(browsing.order), count.n / most) for count in counts[:24]]
    parts.append("\n".join([f"{BY_NAME[column].tip} ({BY_NAME[column].title})", *rows]))
    if browsing.table.bad:
        parts.append("\n".join(["bad rows", *browsing.table.bad[:MOST_BAD_SHOWN]]))
    if browsing.table.notices:
        parts.append("\n".join(["files", *browsing.table.notices]))
    return visible("\n\n".join(parts))


def next_pairs(browsing: Browsing) -> str:
    """Return the command that makes pairs by the votes: a loop makes an iteration's pairs before anybody can vote."""
    files = [file.path for file in browsing.table.files if file.path.name == "judgments.jsonl"] or [Path("FILE")]
    votes = browsing.table.source.votes_of(files[-1])
    votes = votes if votes in browsing.log.paths else browsing.log.path
    return f"python -m trainer.pairs {files[-1]} --votes {votes} --on-vote overrule"


def _shown(value: object) -> str:
    if isinstance(value, list):
        return " to ".join(f"{end:.3f}" for end in value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def show_statistics(app: RowsApp) -> None:
    """Show the figures of what is shown."""
    if app.browsing.blind:
        app.tell("not while voting blind", severity="warning")
        return
    app.push_screen(Reader("statistics of what is shown", statistics_text(app)))


def show_candidates(app: RowsApp) -> None:
    """Show all answers to the prompt of the row. The chosen one is shown in the main table."""
    if (row := _open_row(app)) is None:
        return
    found = app.browsing.candidates(row)
    if not len(found):
        app.tell("no judged answers to this prompt are open: open the run, or the judgments beside the pairs")
        return

    def go(chosen: int | None) -> None:
        if chosen is not None:
            go_to(app, chosen)

    app.push_screen(CandidatesScreen(app.browsing, found), go)


def show_iterations(app: RowsApp) -> None:
    """Show the answers of each iteration to the prompt of the row."""
    if (row := _open_row(app)) is None:
        return
    found = app.browsing.by_iteration(row)
    if not found:
        app.tell("no single answers to this prompt are open: open the run")
        return
    app.push_screen(IterationsScreen(app.browsing, found))


def _open_row(app: RowsApp) -> int | None:
    """Return the selected row, or None, said, if its verdict is hidden."""
    row = app.grid.row
    if row is not None and app.browsing.is_hidden(row):
        app.tell("vote first: this would show the scores", severity="warning")
        return None
    return row


def go_to(app: RowsApp, row: int) -> None:
    """Show a row in the main table, of whatever kind it is."""
    if row not in app.browsing.order:
        app.browsing.kind, app.browsing.is_kind_chosen = ALL, True
        app.set_filter("")
    app.refilter(keep=False)
    places = (app.browsing.order == row).nonzero()[0]
    if len(places):
        app.grid.cursor = int(places[0])


def ask_export(app: RowsApp) -> None:
    """Ask for a file, and write what is shown to it in the format of its ending."""
    n_rows = len(app.browsing.order)
    hint = f"{n_rows:,} rows; the ending says the format: .jsonl, .pairs.jsonl (TRL's pairs), .md, .csv"

    def write(name: str | None) -> None:
        if not name:
            return
        try:
            path = Path(name).expanduser()
            n = export(app.browsing.view, app.browsing.order, path, format_of(path))
        except JudgeloopError as error:
            app.tell(str(error))
            return
        app.tell(f"{n:,} written to {path}", severity="information")

    app.push_screen(Ask("export what is shown", "shown.jsonl", hint, replaced=True), write)


def choose_copy(app: RowsApp) -> None:
    """Choose what to copy, and copy it."""
    body = app.body()
    if body is None:
        return
    hidden = app.browsing.is_hidden(body.row)
    left, right = (app.detail.pane(name).text for name in ("left", "right"))
    texts = {
        "prompt": text_of(body.item.prompt),
        "first answer": left if app.browsing.blind else body.item.text_a,
        "second answer": right if app.browsing.blind else body.item.text_b or "",
        "place (file:line)": body.where,
    }
    if not hidden:
        texts["row as JSON"] = msgspec.json.encode(body.record).decode()
        texts["row as Markdown"] = markdown_of(app.browsing.view, body)

    def copy(name: str | None) -> None:
        if name is not None:
            app.copy_to_clipboard(texts[name])
            app.tell(f"copied {len(texts[name]):,} characters", severity="information")

    options = [(name, f"{name}, {len(text):,} chars") for name, text in texts.items() if text]
    app.push_screen(Choice("copy", options), copy)


def open_pager(app: RowsApp) -> None:
    """Show the row, whole and made visible, in $PAGER."""
    body = app.body()
    if body is None:
        return
    if app.browsing.is_hidden(body.row):
        app.tell("vote first: the row names the judge's winner", severity="warning")
        return
    if app.is_web:
        app.tell("a browser has no pager: Enter shows the texts alone", severity="warning")
        return
    command = shlex.split(os.environ.get("PAGER") or "less")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "row.md"
        path.write_text(markdown_of(app.browsing.view, body), encoding="utf-8", errors="replace")
        try:
            with app.suspend():
                subprocess.run([*command, str(path)], check=False)
        except Exception as error:  # no such pager, or a screen that cannot be left
            app.tell(f"{command[0]}: {error}; set PAGER to another program")


def show_help(app: RowsApp) -> None:
    """Show all keys."""
    sections = {
        "everywhere": MAIN,
        "table": Grid.BINDINGS,
        "texts": TextPane.BINDINGS,
        "filter line": FilterInput.BINDINGS,
    }
    app.push_screen(Reader("keys", help_text(sections)))
