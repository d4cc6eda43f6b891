"""Scores with worker processes, or as one of many machines that share a folder of shards."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from console.errors import InputError
from console.output import tell_plan
from engines.shards.folder import Folder
from engines.shards.inputs import input_key
from engines.shards.options import check_scale
from engines.shards.plan import Item, Plan, items_of, manifest, planned, read_plan
from engines.shards.share import do_shards, fill_by_workers, folder_beside, say_open, shared_rows
from judges.judging.cost import Budget
from judges.judging.judge import Judge
from judges.judging.settle import settle_as
from judges.judging.shards import all_responses, judge_of, judging, response_items, summary_of
from judges.judging.stream import Source, Summary
from judges.score.options import Config
from judges.score.output import report
from records import Judgment, Response, Store
from records.keys import content_key


def check_shared(config: Config, *, panel: bool) -> None:
    """Raise InputError if the flags ask for workers and for something that one process does."""
    check_scale(config.scale, out=config.out is not None)
    if not (config.scale.workers or config.scale.shards):
        return
    alone = {
        "a panel": panel,
        "--corpus, --search and --tool": config.evidence.enabled,
        "--batch, --export-batch and --import-batch": bool(config.batch or config.export_batch or config.import_batch),
        "--max-cost and --max-tokens-total": bool(config.cost.max_cost or config.cost.max_tokens_total),
    }
    for what, is_asked in alone.items():
        if is_asked:
            raise InputError(f"{what} work in one process only: leave out --workers and --shards")


def score_in_shards(config: Config, file: str | Path, budget: Budget) -> None:
    """Score as one of the machines that share a folder, and print the table of all rows once all are done."""
    judge = judge_of(config.engine, config.judge, config.seed)
    folder = Folder(str(config.scale.shards))
    if config.fresh:
        raise InputError("--fresh does not remove shards that other machines may be writing: give another --shards")
    job = judging(judge.fingerprint, partial(judge_of, config.engine, config.judge, config.seed))
    before = read_plan(folder)
    if config.dry_run:
        _print_plan(config, folder, before)
        return
    if before is not None and before.identity != judge.fingerprint:
        first = items_of(folder, before.keys[0], Response)
        settle_as(judge, before.identity, lambda: judge.request(next(iter(first.values()))))

    def rows() -> Iterator[Item[Response]]:
        responses = all_responses(file, config.limit, strict=config.strict)
        return (Item(judge.judgment_id(response), response) for response in responses)

    source = content_key(input_key(file), config.limit, config.strict)
    plan = planned(folder, judge.fingerprint, source, rows, config.scale.shard_rows, config.scale.shard_kind)
    if not do_shards(folder, plan, job, config.scale, f"judging {Path(file).name}"):
        say_open(folder, plan)
    elif config.scale.shard is None:
        summary = Summary()
        for place, judgment in shared_rows(folder, plan, Judgment):
            budget.add(judgment.usage)
            summary.add(place, judgment)
        report(summary, judge, budget, folder.url, config)


def _print_plan(config: Config, folder: Folder, plan: Plan | None) -> None:
    if plan is None:
        tell_plan({"shards": None, "of": folder.url}, f"{folder}: no plan yet", as_json=config.json)
        return
    lines = manifest(folder, plan)
    n, n_done, n_failed = len(plan.shards), len(lines), sum(line.failed for line in lines)
    counts = {"shards": n, "done": n_done, "rows": plan.n, "failed": n_failed}
    text = f"{folder}: {n_done} of {n} shards are done, {plan.n:,} rows in all, {n_failed} of them failed"
    tell_plan(counts, text, as_json=config.json)


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
