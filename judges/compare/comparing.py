"""Compares two answers to each prompt with one judge or with a panel."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from console.errors import EngineError, InputError
from console.output import tell, tell_plan
from console.progress import say
from console.table import print_table
from engines.options import open_engine, pinned
from engines.shards.share import take_in
from judges.batches.files import by_hosted_batch, check_batch_flags, export_contests, import_contests
from judges.compare.options import Config
from judges.compare.output import Summary, default_out, plan, print_plan, report
from judges.compare.shards import compare_in_shards, compared_by_workers
from judges.judging.contests import read_contests
from judges.judging.cost import Budget, price_of
from judges.judging.judge import Judge, open_judge
from judges.judging.pairwise import Contest, both_orders_answered, compare_each, comparison_id, first_request
from judges.judging.settle import settle
from judges.judging.sharing import check_shared, print_scale
from judges.panels.panel import Member, members
from judges.panels.rows import Panel, check_panel, check_reached, open_members, panel_comparisons, without_model
from judges.rubrics.rubric import load_rubric
from records import Comparison, Store, read_rows
from records.disk import DiskRows
from records.files import check_limit, check_sources, take
from records.inputs import check_out, compared_key, keep_to_input


def compare(config: Config) -> None:
    """Read, compare, store and print a table."""
    config = replace(config, engine=pinned(config.engine))
    if config.a is None:
        raise InputError("nothing to compare: name two files of answers (a.jsonl b.jsonl), or one of pairs; see --help")
    check_limit(config.limit)
    check_sources(*config.import_batch)
    check_batch_flags(hosted=config.batch, exported=config.export_batch, imported=config.import_batch)
    check_out(config.out, config.a, config.b)
    panel = [(pinned(engine), judge) for engine, judge in members(config.panel, config.engine, config.judge)]
    engine, options = panel[0] if panel else (config.engine, config.judge)
    alone = {
        "a panel": panel,
        "--batch, --export-batch and --import-batch": config.batch or config.export_batch or config.import_batch,
    }
    check_shared(config.scale, config.cost, out=config.out is not None, fresh=config.fresh, alone=alone)
    rubric = load_rubric(options.rubric)
    if rubric.kind != "pair":
        raise InputError(f"the rubric '{rubric.name}' scores one answer; compare with another one, such as pairwise")
    budget = Budget(config.cost, price_of(engine.model, config.cost.prices))
    everything = read_contests(config.a, config.b, rubric, strict=config.strict)
    if panel:
        _compare_by_panel(config, everything, panel, budget)
        return
    judge = open_judge(open_engine(engine), options, config.seed)
    if config.scale.shards:
        compare_in_shards(config, judge, everything, budget)
        return
    compared = _compare_by(judge, config, everything, budget)
    del judge  # the model is not needed any more
    if compared.summary is not None:
        report(compared.summary, compared.judge, budget, compared.path, config)
    elif compared.plan is not None:
        print_plan([compared.plan], config)


@dataclass(frozen=True)
class _Compared:
    """One judge and its comparisons."""

    judge: Judge
    """Without its model."""
    path: Path
    """The file of its comparisons."""
    summary: Summary | None = None
    """Of its comparisons. None if nothing was asked."""
    plan: dict[str, Any] | None = None
    """The plan of a dry run."""


def _compare_by(
    judge: Judge, config: Config, everything: DiskRows[Contest], budget: Budget, *, in_panel: bool = False
) -> _Compared:
    """Compare all pairs with one judge, or only plan, export or import them, as the flags say."""
    contests = _taken(everything, config.limit)
    path = config.out or default_out(config, judge.fingerprint)
    if config.out and in_panel:
        path = config.out.with_name(f"{config.out.stem}-{judge.fingerprint}.jsonl")
    if config.scale.scale:
        made = read_rows(path, Comparison) if path.exists() else ()
        print_scale(len(contests), judge, made, config.scale, config.engine, config.cost, path, as_json=config.json)
        return _Compared(without_model(judge), path)
    if config.dry_run:
        return _Compared(without_model(judge), path, plan=plan(judge, contests, config, path))
    with Store(path, Comparison, keep=both_orders_answered, fresh=config.fresh) as store:
        take_in(store, Comparison, fresh=config.fresh)
        if not config.fresh:
            settle(judge, store, lambda: first_request(judge, contests[0]), in_panel=in_panel)
            _keep_to_contests(store, judge, everything, config)
        if config.batch:
            _by_hosted_batch(config, contests, judge, store)
        if config.export_batch:
            n = export_contests(judge, contests, config.export_batch, store.ids, config.orders, store.unfinished)
            text = f"{n} calls in {config.export_batch}; read their output with --import-batch"
            tell_plan({"calls": n, "batch": config.export_batch}, text, as_json=config.json)
            return _Compared(without_model(judge), path)
        if config.import_batch:
            batch = (config.import_batch, store.ids, config.orders, store.unfinished)
            for comparison in import_contests(judge, contests, *batch, strict=config.strict):
                store.append(comparison)
        if config.scale.workers:
            return _Compared(without_model(judge), path, compared_by_workers(config, store, judge, contests, budget))
        summary = Summary()
        try:
            for comparison in compare_each(
                store, judge, contests, f"{judge.engine.name} comparing", config.orders, budget
            ):
                summary.add(comparison)
        except EngineError as error:
            if not in_panel:
                raise
            say(f"{judge.engine.name} has no vote on pairs that it has not compared: {error}")
    return _Compared(without_model(judge), path, summary)


def _by_hosted_batch(config: Config, contests: DiskRows[Contest], judge: Judge, store: Store[Comparison]) -> None:
    """Store the comparisons that a batch of the server gives."""

    def take(paths: Sequence[Path], leave: bool) -> None:
        known = (store.ids, config.orders, store.unfinished)
        for comparison in import_contests(judge, contests, paths, *known, strict=config.strict, leave=leave):
            store.append(comparison)

    def export(path: Path) -> int:
        return export_contests(judge, contests, path, store.ids, config.orders, store.unfinished)

    by_hosted_batch(judge, store.path, export, take, fresh=config.fresh)


def _taken(everything: DiskRows[Contest], limit: int | None) -> DiskRows[Contest]:
    """Return the first `limit` contests, or all of them for None."""
    if limit is None:
        return everything
    taken = DiskRows(Contest)
    for contest in take(everything, limit):
        taken.append(contest)
    return taken


def _keep_to_contests(store: Store[Comparison], judge: Judge, everything: DiskRows[Contest], config: Config) -> None:
    ids = (comparison_id(judge, contest, config.orders) for contest in everything)
    answers = (
        compared_key(pair.prompt_id, pair.prompt, pair.response_a, pair.response_b, pair.model_a, pair.model_b)
        for pair in everything
    )
    files, given = " and ".join(str(file) for file in (config.a, config.b) if file), config.out is not None
    keep_to_input(store, lambda: ids, judge.fingerprint, files, given=given, answers=lambda: answers)


def _compare_by_panel(config: Config, everything: DiskRows[Contest], members: Sequence[Member], budget: Budget) -> None:
    """Let each judge compare all pairs, then combine their verdicts and print the result."""
    check_panel(config.out, batch=bool(config.batch or config.export_batch or config.import_batch))
    contests = _taken(everything, config.limit)
    results: list[_Compared] = []
    opened = open_members(members, config.panel.judge, config.seed)
    for engine, _ in members:
        budget.next_judge(price_of(engine.model, config.cost.prices))
        results.append(_compare_by(opened.popleft(), config, everything, budget, in_panel=True))
    panel = Panel([result.judge for result in results], [result.path for result in results], config.panel)
    out = config.out or default_out(config, panel.fingerprint)
    if config.dry_run:
        print_plan([result.plan for result in results if result.plan is not None], config, out)
        return
    summary = Summary()
    n_reached, agreement = panel_comparisons(panel, contests, config.orders, out, summary.add)
    if not config.json:
        print_table(agreement)
        tell()
    report(summary, panel.judges[0], budget, out, config, {"agreement": agreement, "judge": panel.fingerprint})
    check_reached(len(contests) - n_reached, len(contests))
