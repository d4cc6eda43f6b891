"""Opens the rows, and then the screen, or prints the table or its figures, or writes a picture."""

import getpass
import os
import sys
from collections.abc import Iterator

from console.errors import InputError, RowError
from console.output import counted, say, tell, tell_json
from console.table import print_table
from records.fields.labels import given_codes
from tui.browsing.state import Browsing
from tui.options import Config
from tui.reading.sources import find_source
from tui.reading.table import Table
from tui.screens.keys import keys_in
from tui.screens.open import open_screen, own_keys, write_screenshot
from tui.summary.columns import BY_NAME
from tui.summary.rows import as_data
from tui.summary.statistics import statistics
from tui.voting.log import open_votes

SMALL_BYTES = 16 << 20
"""Files that are read before the screen opens, in less than a second."""


def show(config: Config) -> None:
    """Open the rows, then the screen. Wrong input ends the command before the screen opens."""
    if config.screenshot is not None and config.screenshot.suffix.lower() != ".svg":
        raise InputError(f"--screenshot {config.screenshot}: the file must end in .svg")
    if config.press and config.screenshot is None:
        raise InputError("--press presses keys before a picture is drawn: give --screenshot PATH.svg too")
    keys_in(config.press, "--press")
    browsing, reading = opened(config)
    prints = config.json or config.dry_run or config.statistics
    if not prints and config.screenshot is None and not _has_screen():
        raise InputError(
            "the screen needs a terminal, for stderr too (it is drawn there); use --json to print the table, "
            "--screenshot PATH.svg, or --serve (a browser)"
        )
    if prints:
        _print(browsing, config)
    else:
        _open(browsing, reading, config)


def _has_screen() -> bool:
    """Return whether there is a terminal, or a browser at the other end of the pipes."""
    is_served = os.environ.get("TEXTUAL_DRIVER", "").endswith(":WebDriver")
    return is_served or all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))


def opened(config: Config) -> tuple[Browsing, Iterator[int]]:
    """Return the rows that the flags ask for, and what reads the rest of them. Raises InputError for wrong flags."""
    prints = config.json or config.dry_run or config.statistics
    source = find_source(config.source)
    table = Table(source, given_codes(config.codes))
    reading = table.read()
    for _ in reading:
        if not prints and len(table) and table.total_bytes > SMALL_BYTES:
            break  # the rest is read behind the screen
    if not len(table) and (prints or source.run is None):
        raise InputError(table.nothing())
    if config.strict and table.bad:
        raise RowError(table.bad[0])
    return _browsing(config, table), reading


def _browsing(config: Config, table: Table) -> Browsing:
    log = open_votes(*([config.votes] if config.votes else table.source.vote_files()))
    browsing = Browsing(table, log, config.voter or _account(), seed=config.seed, blind=config.blind)
    browsing.line, browsing.kind, browsing.queue = config.filter, config.kind or "", config.queue
    browsing.is_kind_chosen = config.kind is not None
    if config.sort is not None:
        if config.sort not in BY_NAME:
            raise InputError(f"--sort {config.sort}: no such column; there are {', '.join(BY_NAME)}")
        browsing.sort_column = config.sort
    browsing.descending = config.reverse
    browsing.filter()  # a wrong one is told here, and not on the screen
    return browsing


def _account() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container without accounts
        return "me"


def _print(browsing: Browsing, config: Config) -> None:
    table = browsing.table
    for message in table.bad:
        say(f"{message}; the row is left out")
    if (n_more := table.n_bad - len(table.bad)) > 0:
        say(f"and {counted(n_more, 'bad rows')} more")
    rows = browsing.show_all()
    if config.dry_run:
        print_table([{"source": table.source.name, **table.kinds(), "bad rows": table.n_bad}], as_json=config.json)
    elif config.statistics:
        figures = statistics(browsing.view, rows)
        if config.json:
            tell_json(figures)
        else:
            print_table([{"figure": name, "value": _shown(value)} for name, value in figures.items()])
    else:
        tell_json(list(as_data(browsing.view, rows)))


def _shown(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return " to ".join(f"{end:.3f}" for end in value)
    return f"{value:.3f}" if isinstance(value, float) else f"{value:,}"


def _open(browsing: Browsing, reading: Iterator[int], config: Config) -> None:
    if config.screenshot is not None:
        for _ in reading:
            pass
        write_screenshot(browsing, config.screenshot, config.theme, keys_in(config.press, "--press"))
        tell(f"screenshot: {config.screenshot}")
    else:
        open_screen(browsing, reading, config.theme, own_keys(config.keys))
