"""The judge's work on a shard, the same in worker processes and on any machine, and the summary of finished work."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path

from console.progress import say
from engines.options import EngineOptions, open_engine
from engines.shards.inputs import local_files
from engines.shards.plan import Item
from engines.shards.work import Fill, Job
from judges.judging.cost import Budget
from judges.judging.judge import Judge, has_every_reply, open_judge
from judges.judging.orders import Orders
from judges.judging.pairwise import PAIRS_AT_ONCE, Contest, both_orders_answered, compare, comparison_id
from judges.judging.stream import WINDOW, Source, Summary, windows
from judges.options import JudgeOptions
from records import Comparison, Judgment, Response, Store, response_key
from records.disk import DiskSet
from records.files import BadRows, take
from records.shapes import located_responses

Open = Callable[[], Judge]
"""Opens a judge in a worker. A worker imports it by its name."""


def judge_shard(judge: Judge, store: Store[Judgment], responses: Mapping[str, Response]) -> Iterator[None]:
    """Judge the responses, by the ids of their judgments, that `store` lacks, and yield after each row.

    The whole window is planned each time, so that a shard that was interrupted gets the verdicts of one that was not.
    """
    rest = iter(responses.items())
    while window := dict(islice(rest, WINDOW)):
        for judgment in judge.judge_named(window, store.ids, store.unfinished(window)):
            store.append(judgment)
            yield


def compare_shard(
    judge: Judge, orders: Orders, store: Store[Comparison], contests: Mapping[str, Contest]
) -> Iterator[None]:
    """Compare the answers, by the ids of their comparisons, that `store` lacks, and yield after each row."""
    rest = iter(contests.items())
    while window := dict(islice(rest, PAIRS_AT_ONCE)):
        found = compare(judge, list(window.values()), store.ids, orders, store.unfinished(window))
        for comparison in found:
            store.append(comparison)
            yield


def judge_of(engine: EngineOptions, options: JudgeOptions, seed: int) -> Judge:
    """Return the judge that the flags name, in this process."""
    return open_judge(open_engine(engine), options, seed)


def judging(fingerprint: str, open_judge_here: Open) -> Job[Response, Judgment]:
    """Return the work of judging responses."""
    return Job(fingerprint, Response, Judgment, has_every_reply, partial(_judges, open_judge_here))


def comparing(fingerprint: str, orders: Orders, open_judge_here: Open) -> Job[Contest, Comparison]:
    """Return the work of comparing answers."""
    return Job(
        _identity(fingerprint, orders),
        Contest,
        Comparison,
        both_orders_answered,
        partial(_compares, open_judge_here, orders),
    )


def _judges(open_judge_here: Open) -> tuple[str, Fill[Judgment, Response]]:
    judge = open_judge_here()
    return judge.fingerprint, partial(judge_shard, judge)


def _compares(open_judge_here: Open, orders: Orders) -> tuple[str, Fill[Comparison, Contest]]:
    judge = open_judge_here()
    return _identity(judge.fingerprint, orders), partial(compare_shard, judge, orders)


def _identity(fingerprint: str, orders: Orders) -> str:
    return fingerprint if orders == "both" else f"{fingerprint}-one"


def all_responses(source: str | Path, limit: int | None, *, strict: bool) -> Iterator[Response]:
    """Yield the responses of a file, a folder of files or a URL. A repeated one counts once. Bad rows are named."""
    n_rows, seen = 0, DiskSet()
    located = (row for path in local_files(source) for row in located_responses(path, BadRows(strict=strict)))
    for _, response in take(located, limit):
        n_rows += 1
        if seen.add(response_key(response)):
            yield response
    if len(seen) < n_rows:
        say(f"{source}: {n_rows - len(seen)} of {n_rows} responses repeat another one and count once")


def response_items(judge: Judge, source: Source) -> Iterator[Item[Response]]:
    """Yield the responses of a file with the ids of their judgments."""
    return (Item(judge.judgment_id(response), response) for _, response in source.responses())


def contest_items(judge: Judge, contests: Iterator[Contest], orders: Orders) -> Iterator[Item[Contest]]:
    """Yield the contests with the ids of their comparisons, one of several that are the same."""
    seen = DiskSet()
    for contest in contests:
        if seen.add(row_id := comparison_id(judge, contest, orders)):
            yield Item(row_id, contest)


def summary_of(store: Store[Judgment], source: Source, judge: Judge, budget: Budget) -> Summary:
    """Return the summary of the stored judgments, and count their cost. Nothing is asked."""
    summary = Summary()
    for window in windows(source.responses(), WINDOW):
        places = {judge.judgment_id(response): place for place, response in window}
        for judgment in store.chosen(places):
            budget.add(judgment.usage)
            summary.add(places[judgment.id], judgment)
    return summary
