"""Progress on stderr: a bar with rate and ETA on a terminal, a line now and then in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LINE_EVERY_S = 30.0
LINE_EVERY_SHARE = 0.25


@contextmanager
def progress(title: str, total: int, done: int = 0) -> Iterator[Callable[[int], None]]:
    """Yield a function that says how many more of `total` are done."""
    if done:
        say(f"{title}: resuming, {done} of {total} done")
    with _bar(title, total, done) if sys.stderr.isatty() else _lines(title, total, done) as advance:
        yield advance


def say(message: str) -> None:
    """Print one diagnostic line to stderr."""
    print(message, file=sys.stderr, flush=True)


@contextmanager
def _bar(title: str, total: int, done: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description:<24}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(title, total=total, completed=done)
        yield lambda n: bars.advance(task, n)


@contextmanager
def _lines(title: str, total: int, done: int) -> Iterator[Callable[[int], None]]:
    started_s = said_s = time.monotonic()
    at_start = said = done

    def advance(n: int) -> None:
        nonlocal done, said, said_s
        done += n
        now_s = time.monotonic()
        if done < total and now_s - said_s < LINE_EVERY_S and done - said < LINE_EVERY_SHARE * total:
            return
        elapsed_s = now_s - started_s
        eta_s = elapsed_s / max(done - at_start, 1) * (total - done)
        tail = f"ETA {eta_s:.0f} s" if done < total else f"in {elapsed_s:.0f} s"
        say(f"{title}: {done} of {total}, {tail}")
        said, said_s = done, now_s

    yield advance
