"""Scores with worker processes, or as one of many machines that share a folder of shards."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from engines.shards.folder import Folder
from engines.shards.inputs import input_key
from engines.shards.plan import Item
from engines.shards.share import fill_by_workers
from judges.judging.cost import Budget
from judges.judging.judge import Judge
from judges.judging.shards import all_responses, judge_of, judging, response_items, summary_of
from judges.judging.sharing import Share
from judges.judging.stream import Source, Summary
from judges.score.options import Config
from judges.score.output import report
from records import Judgment, Response, Store
from records.keys import content_key


def score_in_shards(config: Config, file: str | Path, budget: Budget) -> None:
    """Score as one of the machines that share a folder, and print the table of all rows once all are done."""
    judge = judge_of(config.engine, config.judge, config.seed)
    job = judging(judge.fingerprint, partial(judge_of, config.engine, config.judge, config.seed))

    def items() -> Iterator[Item[Response]]:
        responses = all_responses(file, config.limit, strict=config.strict)
        return (Item(judge.judgment_id(response), response) for response in responses)

    source = content_key(input_key(file), config.limit, config.strict)
    share = Share(Folder(str(config.scale.shards)), judge, job, config.scale, source, items)
    if config.dry_run:
        share.print_plan(config.engine, config.cost, as_json=config.json)
        return
    rows = share.rows(judge.request, f"judging {Path(file).name}")
    if rows is None:
        return
    summary = Summary()
    for place, judgment in rows:
        budget.add(judgment.usage)
        summary.add(place, judgment)
    report(summary, judge, budget, share.folder.url, config)


def judged_by_workers(
    config: Config, store: Store[Judgment], source: Source, judge: Judge, budget: Budget, title: str
) -> Summary:
    """Judge the responses that `store` lacks with worker processes, and return the summary of all judgments."""
    job = judging(judge.fingerprint, partial(judge_of, config.engine, config.judge, config.seed))
    fill_by_workers(store, job, partial(response_items, judge, source), config.scale, title)
    return summary_of(store, source, judge, budget)
