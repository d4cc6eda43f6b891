"""Compares with worker processes, or as one of many machines that share a folder of shards."""

from collections.abc import Iterator
from functools import partial

from engines.shards.folder import Folder
from engines.shards.inputs import input_key
from engines.shards.plan import Item
from engines.shards.share import fill_by_workers
from judges.compare.options import Config
from judges.compare.output import Summary, report
from judges.judging.cost import Budget
from judges.judging.judge import Judge
from judges.judging.pairwise import Contest, comparison_id, first_request
from judges.judging.shards import comparing, contest_items, judge_of
from judges.judging.sharing import Share
from records import Comparison, Store
from records.disk import DiskRows, DiskSet
from records.files import take
from records.keys import content_key


def _items(config: Config, judge: Judge, contests: DiskRows[Contest]) -> Iterator[Item[Contest]]:
    return contest_items(judge, take(contests, config.limit), config.orders)


def compare_in_shards(config: Config, judge: Judge, everything: DiskRows[Contest], budget: Budget) -> None:
    """Compare as one of the machines that share a folder, and print the table of all pairs once all are done."""
    job = comparing(judge.fingerprint, config.orders, partial(judge_of, config.engine, config.judge, config.seed))
    files = [input_key(file) for file in (config.a, config.b) if file is not None]
    source = content_key(files, config.limit, config.strict)
    items = partial(_items, config, judge, everything)
    share = Share(Folder(str(config.scale.shards)), judge, job, config.scale, source, items)
    if config.dry_run:
        share.print_plan(config.engine, config.cost, as_json=config.json)
        return
    rows = share.rows(partial(first_request, judge), f"{judge.engine.name} comparing")
    if rows is not None:
        summary = Summary()
        for _, comparison in rows:
            budget.add(comparison.usage)
            summary.add(comparison)
        report(summary, judge, budget, share.folder.url, config)


def compared_by_workers(
    config: Config, store: Store[Comparison], judge: Judge, contests: DiskRows[Contest], budget: Budget
) -> Summary:
    """Compare the answers that `store` lacks with worker processes, and return the summary of all verdicts."""
    job = comparing(judge.fingerprint, config.orders, partial(judge_of, config.engine, config.judge, config.seed))
    items, title = partial(_items, config, judge, contests), f"{judge.engine.name} comparing"
    fill_by_workers(store, job, items, config.scale, title)
    ids, summary = DiskSet(), Summary()
    for contest in contests:
        ids.add(comparison_id(judge, contest, config.orders))
    for comparison in store.chosen(ids):
        budget.add(comparison.usage)
        summary.add(comparison)
    return summary
