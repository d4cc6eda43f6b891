"""Scores with worker processes, or as one of many machines that share a folder of shards."""

from functools import partial
from pathlib import Path

from console.errors import InputError
from engines.shards.options import check_scale
from engines.shards.share import fill_by_workers, folder_beside
from judges.judging.cost import Budget
from judges.judging.judge import Judge
from judges.judging.shards import judge_of, judging, response_items, summary_of
from judges.judging.stream import Source, Summary
from judges.score.options import Config
from records import Judgment, Store


def check_shared(config: Config, *, panel: bool) -> None:
    """Raise InputError if the flags ask for workers and for something that one process does."""
    check_scale(config.scale, out=config.out is not None)
    if not (config.scale.workers or config.scale.shards):
        return
    alone = {
        "a panel": panel,
        "--corpus, --search and --tool": config.evidence.enabled,
        "--export-batch and --import-batch": bool(config.export_batch or config.import_batch),
        "--max-cost and --max-tokens-total": bool(config.cost.max_cost or config.cost.max_tokens_total),
    }
    for what, is_asked in alone.items():
        if is_asked:
            raise InputError(f"{what} work in one process only: leave out --workers and --shards")


def shared(config: Config, out: Path) -> bool:
    """Return whether workers judge, or have begun to before this command was interrupted."""
    return bool(config.scale.workers) or folder_beside(out).exists()


def judged_by_workers(
    config: Config, store: Store[Judgment], source: Source, judge: Judge, budget: Budget, title: str
) -> Summary:
    """Judge the responses that `store` lacks with worker processes, and return the summary of all judgments."""
    job = judging(judge.fingerprint, partial(judge_of, config.engine, config.judge, config.seed))
    fill_by_workers(store, job, partial(response_items, judge, source), config.scale, title, fresh=config.fresh)
    return summary_of(store, source, judge, budget)
