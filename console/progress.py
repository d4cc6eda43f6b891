"""Progress on stderr: a bar with rate and ETA on a terminal, a line now and then in a log.

A command of many stages can show them in another way, `with shown_by(show)`.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from console.output import say
from console.visible import one_line

__all__ = ["Meter", "progress", "say", "shown_by"]

FIRST_LINE_S = 5.0
LINE_EVERY_S = 30.0
LINE_EVERY_SHARE = 0.25
TITLE_CELLS = 30

Show = Callable[[str, int, int], AbstractContextManager["Meter"]]
"""Shows one stage: its title, the number of its items, and how many are done already."""
_shows: list[Show] = []


class Meter:
    """Counts what is done, and how long the rest takes at the pace so far."""

    def __init__(self, title: str, total: int, done: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self.title = title
        self.total = total
        self.done = done
        self._made = 0
        """Of `done`, what was made here: what was there before took no time."""
        self._clock = clock
        self._started_s = self._last_s = clock()

    def __call__(self, n: int) -> None:
        """Count `n` more as done."""
        self.done += n
        self._made += n
        self._last_s = self._clock()
        self.changed()

    def skip(self, n: int) -> None:
        """Count `n` more as done before: they say nothing about the pace."""
        self.done += n
        self.changed()

    def changed(self) -> None:
        """Show the new count."""

    @property
    def elapsed_s(self) -> float:
        """Return the seconds since the start."""
        return self._clock() - self._started_s

    @property
    def eta_s(self) -> float | None:
        """Return the seconds that the rest takes, or None before anything was done."""
        if self.done >= self.total:
            return 0.0
        if not self._made:
            return None
        each_s = (self._last_s - self._started_s) / self._made
        # the time goes down between two long steps, and a late step does not delay the others
        return max(each_s * (self.total - self.done) - min(self._clock() - self._last_s, each_s), 0.0)


class LogMeter(Meter):
    """Says a line now and then: soon after the start, at each quarter, and each half minute even if nothing is done."""

    def __init__(self, title: str, total: int, done: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(title, total, done, clock)
        self._said = done
        self._said_s = self._started_s
        # Whether a line gave an ETA: the first one does so after seconds, not at the first quarter.
        self._said_pace = False

    def changed(self) -> None:
        """Print a line if one is due."""
        first = not self._said_pace and self._made > 0 and self.elapsed_s >= FIRST_LINE_S
        if first or self.done >= self.total or self.done - self._said >= LINE_EVERY_SHARE * self.total:
            self._say()
        else:
            self.tick()

    def tick(self) -> None:
        """Print a line if none was printed for half a minute."""
        if self._clock() - self._said_s >= LINE_EVERY_S:
            self._say()

    def _say(self) -> None:
        if self.done >= self.total:
            tail = f"in {duration(self.elapsed_s)}"
        elif self.eta_s is None:
            tail = f"after {duration(self.elapsed_s)}"
        else:
            tail = f"ETA {duration(self.eta_s)}"
        say(f"{self.title}: {self.done} of {self.total}, {tail}")
        self._said, self._said_s, self._said_pace = self.done, self._clock(), self._made > 0


@contextmanager
def shown_by(show: Show) -> Iterator[None]:
    """Let `show` show the progress of all stages inside the block, those that are done already too."""
    _shows.append(show)
    try:
        yield
    finally:
        _shows.pop()


@contextmanager
def progress(title: str, total: int, done: int = 0) -> Iterator[Meter]:
    """Yield a function to call with the number of further items done. If all of `total` are done, nothing is shown."""
    if _shows:
        with _shows[-1](title, total, done) as meter:
            yield meter
        return
    if done >= total:
        yield Meter(title, total, done)
        return
    if done:
        say(f"{title}: resuming, {done} of {total} done")
    with _bar(title, total, done) if sys.stderr.isatty() else watched(LogMeter(title, total, done)) as meter:
        yield meter


def duration(seconds: float) -> str:
    """Return `40 s`, `12 min` or `3.5 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


@contextmanager
def _bar(title: str, total: int, done: int) -> Iterator[Meter]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn
    from rich.text import Text

    class Bar(Meter):
        def changed(self) -> None:
            bars.update(task, completed=self.done)

    class Eta(ProgressColumn):
        # rich's own looks back 30 s, so it knows nothing if a step takes longer
        def render(self, task: Any) -> Text:
            eta_s = meter.eta_s
            return Text("-" if eta_s is None else duration(eta_s), style="progress.remaining")

    columns = (
        TextColumn(f"{{task.description:<{TITLE_CELLS - 6}}}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        Eta(),
    )
    with Progress(*columns, console=Console(stderr=True), auto_refresh=True) as bars:
        meter = Bar(title, total, done)
        task = bars.add_task(short_title(one_line(title)), total=total, completed=done)
        yield meter


@contextmanager
def watched(meter: LogMeter) -> Iterator[Meter]:
    """Yield the meter, and let it say a line though nothing is done for minutes."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(LINE_EVERY_S / 10):
            meter.tick()

    threading.Thread(target=watch, name="progress", daemon=True).start()  # a daemon ends with an interrupted command
    try:
        yield meter
    finally:
        over.set()


def short_title(title: str) -> str:
    """Return the start and the end of a long title: what is done often stands at its end."""
    if len(title) <= TITLE_CELLS:
        return title
    n_start = TITLE_CELLS // 3
    return f"{title[:n_start]}…{title[n_start + 1 - TITLE_CELLS :]}"
