"""What is left of a run's stages, as its files tell."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from math import ceil
from pathlib import Path

import msgspec

from console.errors import RowError
from judges.tools.evidence import was_checked
from records import Judgment, read_rows
from records.runs import Run
from trainer.loop.plan.work import COUNTS, Work
from trainer.loop.recipe import Config, taken_number
from trainer.loop.rounds import LAST, is_gathered
from trainer.training.checkpoints import flaw_of
from trainer.training.outcome import work_of
from trainer.training.resume import saved_step


def numbers_to_make(config: Config, run: Run | None = None) -> list[int]:
    """Return the iterations that a run makes itself and, with `run`, has not made yet."""
    done = run.done() if run is not None else set()
    return [number for number in range(taken_number(config) + 1, config.iterations + 1) if number not in done]


def left_of(works: Iterable[Work], run: Run, number: int, config: Config) -> Iterator[Work]:
    """Yield what is left of the work of making iteration `number`, which was stopped anywhere or not begun."""
    works, trained = list(works), run.model(number)
    if flaw_of(trained) is None:  # only its line in the ledger is missing
        return
    training = next(place for place, work in enumerate(works) if work.training is not None)
    left = works
    if flaw_of(last := trained.with_name(LAST)) is None:  # only its checkpoints are to be compared
        left = works[training + 1 :]
    elif number > 1 and is_gathered(run, number, config.round):
        left = works[training:]
    n_done = max(saved_step(work_of(trained)), saved_step(work_of(last)))
    for work in left:
        if work.training is not None or work.within:
            yield from _rest(work, n_done, works[training].n_steps)
        else:
            yield from not_answered(work, run)


def not_answered(work: Work, run: Run) -> Iterator[Work]:
    """Yield the work without the answers or verdicts that are in its files, if any of it is left."""
    yield from _rest(work, sum(_n_done(run.folder / name, work) for name in work.files), work.n_results)


def _rest(work: Work, n_done: int, n: int) -> Iterator[Work]:
    """Yield the part of a work that is left if `n_done` of `n` equal parts of it are done."""
    if n_done == 0:
        yield work
    elif n_done < n:
        yield replace(work, **{name: ceil(getattr(work, name) * (n - n_done) / n) for name in COUNTS})


def _n_done(path: Path, work: Work) -> int:
    """Return how many answers, or verdicts that no resume asks for again, a file has."""
    if not path.exists():
        return 0
    done: dict[str, bool] = {}
    with suppress(RowError):  # a kill may have torn the last row
        if work.kind == "judge":
            done.update((row.id, was_checked(row)) for row in read_rows(path, Judgment))
        else:
            done.update((row.id, True) for row in read_rows(path, _Row))
    return sum(done.values())


class _Row(msgspec.Struct):
    id: str
