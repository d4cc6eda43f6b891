"""Scores a file of responses with one judge, with or without evidence, or with a panel."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from console.errors import InputError
from console.output import tell, tell_plan
from console.table import print_table
from engines.options import open_engine, pinned
from judges.batches.files import by_hosted_batch, check_batch_flags, export_batch, import_batch
from judges.judging.cost import Budget, price_of
from judges.judging.judge import Judge, has_every_reply, open_judge
from judges.judging.sharing import check_shared, print_scale
from judges.judging.stream import WINDOW, Source, judge_stream, survey, windows
from judges.panels.panel import members
from judges.rubrics.checked import checked_rubric
from judges.score.options import Config
from judges.score.output import default_out, keep_to_source, plan, print_plan, report
from judges.score.panel import score_by_panel
from judges.score.shards import judged_by_workers, score_in_shards
from judges.tools.evidence import (
    NO_MODEL,
    calls_for_claims,
    calls_for_constraints,
    evidence_path,
    finish_with,
    gather_into,
    open_checked_judge,
    open_evidence,
    was_checked,
)
from judges.tools.options import say_unused
from judges.tools.scores import evidence_summary
from records import Judgment, Response, Store, read_rows
from records.files import check_sources
from records.inputs import check_out
from records.runs import newest_run

EXAMPLE = Path(__file__).parent.parent / "example.jsonl"


def score(config: Config) -> None:
    """Read, judge, store and print a table."""
    say_unused(config.evidence, config.engine, config.judge)
    config = replace(config, engine=pinned(config.engine))
    panel = [(pinned(engine), judge) for engine, judge in members(config.panel, config.engine, config.judge)]
    checked_rubric(config.judge)
    first_engine = panel[0][0] if panel else config.engine
    # before the file is read, because the table of prices may be broken
    budget = Budget(config.cost, price_of(first_engine.model, config.cost.prices))
    file = config.file or _default_source()
    check_out(config.out, file)
    check_sources(*config.import_batch)
    check_batch_flags(hosted=config.batch, exported=config.export_batch, imported=config.import_batch)
    alone = {
        "a panel": panel,
        "--corpus, --search and --tool": config.evidence.enabled,
        "--batch, --export-batch and --import-batch": config.batch or config.export_batch or config.import_batch,
    }
    check_shared(config.scale, config.cost, out=config.out is not None, fresh=config.fresh, alone=alone)
    if config.scale.shards:
        score_in_shards(config, file, budget)
        return
    source = survey(file, config.limit, strict=config.strict)
    if panel:
        score_by_panel(config, source, panel, budget)
        return
    engine = open_engine(config.engine) if config.evidence.needs_model else NO_MODEL
    judge = open_judge(engine, config.judge, config.seed)
    if config.evidence.enabled:
        _score_with_evidence(config, source, judge, budget)
    else:
        _score_plainly(config, source, judge, budget)


def _score_plainly(config: Config, source: Source, judge: Judge, budget: Budget) -> None:
    """Judge all responses. A batch is exported instead, or imported first, if the flags ask for it."""
    out = config.out or default_out(source, judge.fingerprint)
    if config.scale.scale:
        made = read_rows(out, Judgment) if out.exists() else ()
        print_scale(source.n, judge, made, config.scale, config.engine, config.cost, out, as_json=config.json)
        return
    if config.dry_run:
        print_plan(config, [plan(judge, source, out, config.cost.prices)])
        return
    with Store(out, Judgment, keep=has_every_reply, fresh=config.fresh) as store:
        keep_to_source(store, source, judge, config)
        if config.batch:
            _by_hosted_batch(config, source, judge, store)
        responses = (response for _, response in source.responses())
        if config.export_batch:
            n = export_batch(judge, responses, config.export_batch, store.ids, store.unfinished)
            text = f"{n} calls in {config.export_batch}; read their output with --import-batch"
            tell_plan({"calls": n, "batch": config.export_batch}, text, as_json=config.json)
            return
        if config.import_batch:
            batch = (config.import_batch, store.ids, store.unfinished)
            for judgment in import_batch(judge, responses, *batch, strict=config.strict):
                store.append(judgment)
        title = f"judging {Path(source.path).name}"
        if config.scale.workers:
            summary = judged_by_workers(config, store, source, judge, budget, title)
        else:
            summary = judge_stream(store, source, judge, budget, title)
    report(summary, judge, budget, out, config)


def _by_hosted_batch(config: Config, source: Source, judge: Judge, store: Store[Judgment]) -> None:
    """Store the judgments that a batch of the server gives."""

    def responses() -> Iterator[Response]:
        return (response for _, response in source.responses())

    def take(paths: Sequence[Path], leave: bool) -> None:
        known = (store.ids, store.unfinished)
        for judgment in import_batch(judge, responses(), paths, *known, strict=config.strict, leave=leave):
            store.append(judgment)

    def export(path: Path) -> int:
        return export_batch(judge, responses(), path, store.ids, store.unfinished)

    by_hosted_batch(judge, store.path, export, take, fresh=config.fresh)


def _score_with_evidence(config: Config, source: Source, plain_judge: Judge, budget: Budget) -> None:
    """Look up the claims of all responses, then judge the responses with the evidence."""
    if config.batch or config.export_batch or config.import_batch:
        raise InputError("a batch has no tools: leave out --corpus, --search and --tool")
    judge, agent = open_checked_judge(plain_judge, config.evidence)
    out = config.out or default_out(source, judge.fingerprint)
    if config.dry_run:
        prompts = (response.prompt for _, response in source.responses())
        calls = calls_for_constraints(config.evidence, prompts) | calls_for_claims(config.evidence, source.n)
        print_plan(config, [plan(judge, source, out, config.cost.prices) | calls])
        return
    with Store(out, Judgment, keep=was_checked, fresh=config.fresh) as store:
        keep_to_source(store, source, judge, config)  # before the evidence: a run that is refused pays for no call
        with open_evidence(evidence_path(out), fresh=config.fresh) as evidence:
            chunks = ([response for _, response in window] for window in windows(source.responses(), WINDOW))
            gather_into(evidence, agent, chunks, source.n)
            title = f"judging {Path(source.path).name}"
            summary = judge_stream(store, source, judge, budget, title, finish_with(evidence, agent, judge))
            # the file also has the evidence of a larger --limit, of edited answers and of other settings
            ids = (agent.evidence_id(response) for _, response in source.responses())
            evidence_row = evidence_summary(evidence.chosen(ids))
    if not config.json:
        print_table([evidence_row])
        tell()
    report(summary, judge, budget, out, config, extra={"evidence": evidence_row})


def _default_source() -> Path:
    """Return the newest run's last responses, or the packaged example if there is no run."""
    latest_run = newest_run()
    return (latest_run and latest_run.newest("responses.jsonl")) or EXAMPLE
