"""Judges any number of responses in constant memory: a window at a time, each row stored as it comes."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import sqrt
from pathlib import Path
from typing import TypeVar

from console.progress import progress, say
from judges.judging.cost import Budget
from judges.judging.judge import Finish, Judge, as_it_is, has_every_reply, own_usage
from judges.parsing.verdict import Masses
from records import Judgment, Response, Store, Usage, response_key
from records.disk import DiskSet
from records.files import BadRows, take
from records.shapes import located_responses

WINDOW = 8192
"""Responses in flight at once. An in-process engine plans its batches over this many."""

RowT = TypeVar("RowT")
Located = tuple[str, Response]
SHOWN_UNSCORED = 10


@dataclass
class ModelSummary:
    """The scores of one model's responses, added up as they come (Welford's method)."""

    n: int = 0
    n_unscored: int = 0
    n_chars: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, judgment: Judgment) -> None:
        """Count one judgment."""
        self.n += 1
        self.n_chars += len(judgment.response)
        if judgment.score is None:
            self.n_unscored += 1
            return
        step = judgment.score - self.mean
        self.mean += step / (self.n - self.n_unscored)
        self.squares += step * (judgment.score - self.mean)

    @property
    def deviation(self) -> float:
        """Return the standard deviation of the scores."""
        return sqrt(self.squares / max(1, self.n - self.n_unscored))


@dataclass
class Summary:
    """Counts and means that a command prints at its end."""

    models: dict[str, ModelSummary] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    unscored: list[str] = field(default_factory=list)
    """The first few, with their place and reason."""
    masses: Masses = field(default_factory=Masses)
    n_incomplete: int = 0
    """Rows with a sample whose call failed, scored or not. The next run asks for it again."""

    def add(self, place: str, judgment: Judgment) -> None:
        """Count one judgment."""
        self.models.setdefault(judgment.model, ModelSummary()).add(judgment)
        if judgment.score is None:
            self.reasons[judgment.error or "unknown"] += 1
            if len(self.unscored) < SHOWN_UNSCORED:
                self.unscored.append(f"{place}: {judgment.error}")
        self.masses.add(judgment.mass)
        self.n_incomplete += judgment.read != "panel" and not has_every_reply(judgment)

    @property
    def n(self) -> int:
        """Return how many judgments there are."""
        return sum(model.n for model in self.models.values())

    @property
    def n_scored(self) -> int:
        """Return how many have a score."""
        return self.n - self.reasons.total()


@dataclass(frozen=True)
class Source:
    """A file of responses that is read as often as needed, a row at a time. A repeated response counts once."""

    path: str | Path
    limit: int | None
    strict: bool
    n: int
    """The number of responses."""
    repeats: bool
    """Whether some responses are repeated."""

    def responses(self) -> Iterator[Located]:
        """Yield each response with its place. Bad rows were named before."""
        rows = take(located_responses(self.path, BadRows(strict=self.strict, quiet=True)), self.limit)
        seen = DiskSet()
        return (pair for pair in rows if seen.add(response_key(pair[1]))) if self.repeats else rows


def survey(path: str | Path, limit: int | None, *, strict: bool) -> Source:
    """Read `path` once, name its bad rows and count its responses. Raises InputError if there is none."""
    n_rows = n = 0
    seen = DiskSet()
    for _, response in take(located_responses(path, BadRows(strict=strict)), limit):
        n_rows += 1
        n += seen.add(response_key(response))
    if n < n_rows:
        say(f"{path}: {n_rows - n} of {n_rows} responses repeat another one and count once")
    return Source(path, limit, strict, n, repeats=n < n_rows)


def judge_stream(
    store: Store[Judgment],
    source: Source,
    judge: Judge,
    budget: Budget,
    title: str,
    finish: Finish = as_it_is,
) -> Summary:
    """Judge the responses that `store` lacks, in the order of `source`, and return the summary of all judgments.

    `finish` changes each judgment before it is stored. Raises JudgeError if `budget` is spent. Judgments made until
    then are kept.
    """
    summary = Summary()
    if n_stored := len(store.ids):
        say(f"{title}: resuming, {n_stored} rows done")
    with progress(title, source.n) as advance:
        for window in windows(source.responses(), WINDOW):
            ids = [judge.judgment_id(response) for _, response in window]
            judgments = (
                {judgment.id: judgment for judgment in store.chosen(filter(store.__contains__, ids))}
                if n_stored
                else {}
            )
            unfinished = store.unfinished(ids)
            for judgment in judgments.values():
                budget.add(judgment.usage)
            for judgment in unfinished.values():
                budget.carry(judgment.usage)
            advance.skip(len(judgments))
            todo = [row_id for row_id in ids if row_id not in judgments]
            by_id = {row_id: response for row_id, (_, response) in zip(ids, window, strict=True)}
            for judgment in _judged(judge, by_id, todo, budget, unfinished):
                judgments[judgment.id] = finish(by_id[judgment.id], judgment)
                budget.carry(_of_evidence(judgments[judgment.id]) - _of_evidence(unfinished.get(judgment.id)))
                store.append(judgments[judgment.id])
                if store.is_finished(judgments[judgment.id]):
                    advance(1)
            for (place, _), row_id in zip(window, ids, strict=True):
                if row_id in judgments:
                    summary.add(place, judgments[row_id])
            if len(judgments) < len(ids):
                raise budget.stop(summary.n, source.n)
    return summary


def _of_evidence(judgment: Judgment | None) -> Usage:
    """Return the usage of the evidence on a judgment's answer. The judge's own calls are counted as they are made."""
    return Usage() if judgment is None else judgment.usage - own_usage(judgment)


def windows(rows: Iterable[RowT], size: int) -> Iterator[list[RowT]]:
    """Yield `rows` in lists of `size`. The last one may be shorter."""
    rest = iter(rows)
    while window := list(islice(rest, size)):
        yield window


def _judged(
    judge: Judge,
    by_id: Mapping[str, Response],
    todo: Sequence[str],
    budget: Budget,
    unfinished: Mapping[str, Judgment],
) -> Iterator[Judgment]:
    """Yield the judgments with the ids `todo` as long as `budget` allows."""
    while todo and (n := budget.n_allowed(len(todo))):
        # All responses are given each time, so that an in-process engine plans the same batches whatever the budget.
        for judgment in judge.judge_named(by_id, by_id.keys() - todo, unfinished, later=set(todo[n:])):
            budget.add(
                judgment.usage - own_usage(unfinished[judgment.id]) if judgment.id in unfinished else judgment.usage
            )
            yield judgment
        todo = todo[n:]
