"""Shows every stage of a run as a part of the whole: one line on a terminal, a line each half minute in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from console.progress import FIRST_LINE_S, LINE_EVERY_S, TITLE_CELLS, LogMeter, Meter, Show, say, short_title, watched
from console.visible import one_line
from trainer.loop.plan.course import Course


def shown_in(course: Course) -> Show:
    """Return how to show a stage: it tells the course of each step, and shows what the course says of the whole."""
    said = _Said()

    @contextmanager
    def show(title: str, total: int, done: int) -> Iterator[Meter]:
        course.begin(title, done / total if total else 1.0)  # a stage of nothing is done
        if done >= total:
            yield Meter(title, total, done)  # shows nothing, so that a resumed run does not flash old stages
            return
        with (
            _bar(title, total, done, course)
            if sys.stderr.isatty()
            else watched(WholeMeter(title, total, done, course, said)) as meter
        ):
            yield meter

    return show


class _Said:
    """When the log last had a line, whatever stage it was about."""

    at_s: float | None = None


class WholeMeter(LogMeter):
    """Says a line soon after the start of the run and then each half minute, whatever stage is under way."""

    def __init__(
        self,
        title: str,
        total: int,
        done: int,
        course: Course,
        said: _Said,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(title, total, done, clock)
        self._course, self._line = course, said

    def changed(self) -> None:
        """Tell the course, and print a line if one is due."""
        self._course.update(self.title, self.done / self.total)
        self.tick()

    def tick(self) -> None:
        """Print a line if one is due."""
        if self._line.at_s is None:
            is_due = self._clock() - self._started_s >= FIRST_LINE_S
        else:
            is_due = self._clock() - self._line.at_s >= LINE_EVERY_S
        if is_due:
            self._line.at_s = self._clock()
            say(f"{self.title}: {self.done} of {self.total}; {self._course.text()}")


@contextmanager
def _bar(title: str, total: int, done: int, course: Course) -> Iterator[Meter]:
    """Show one line that is gone when the stage is over: the stage, and a bar of the whole."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn
    from rich.table import Column
    from rich.text import Text

    class Bar(Meter):
        def changed(self) -> None:
            course.update(title, self.done / self.total)
            bars.update(task, completed=round(100 * course.share), counted=f"{self.done}/{self.total}")

    class Whole(ProgressColumn):
        def render(self, task: Any) -> Text:
            return Text(course.text(), style="progress.remaining")

    columns = (
        TextColumn(f"{{task.description:<{TITLE_CELLS - 6}}}", markup=False),
        TextColumn("{task.fields[counted]}", markup=False, table_column=Column(no_wrap=True)),
        BarColumn(bar_width=None, table_column=Column(ratio=1)),  # the space that the words leave
        Whole(table_column=Column(no_wrap=True)),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True, expand=True) as bars:
        meter = Bar(title, total, done)
        name, counted = short_title(one_line(title)), f"{done}/{total}"
        task = bars.add_task(name, total=100, completed=round(100 * course.share), counted=counted)
        yield meter
