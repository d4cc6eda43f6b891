"""Score every response in a file with a judge.

python -m judges.score                                        the newest run's responses, or else a packaged example
python -m judges.score answers.jsonl --limit 40 --out judgments.jsonl
python -m judges.score answers.json.gz --model Qwen/Qwen3-8B --read text --samples 3
python -m judges.score answers.csv --model my-model --base-url http://localhost:8000/v1 --read structured
python -m judges.score answers.jsonl --engine openai --model gpt-5-mini --read text --max-cost 2.50
python -m judges.score answers.jsonl --judge smollm2 --judge iter3 --judge big@http://localhost:8000/v1     a panel
python -m judges.score answers.jsonl --engine openai --model gpt-4.1-mini --read text --export-batch batch.jsonl
python -m judges.score answers.jsonl --corpus notes/ --verify cap       claims are looked up before they are scored

FILE has responses: this project's rows, alpaca_eval outputs, TRL conversations or pairs, CSV, Parquet, .gz of these,
or a hub data set. Stopped and started again, it goes on where it was.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from console.again import starts_again
from console.command import Flags, Given, run
from console.output import tell, tell_plan
from console.ranges import Count
from console.writing import OutRows
from engines.options import EngineOptions, SharedEngineOptions, of_run, pinned
from judges.options import CostOptions, JudgeOptions, PanelOptions
from judges.retrieval.options import EvidenceOptions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from console.table import Cell
    from judges.judging.cost import Budget
    from judges.judging.judge import Judge
    from judges.judging.stream import Source, Summary
    from judges.panels.panel import Member
    from records import Judgment, Store

EXAMPLE = Path(__file__).parent / "example.jsonl"
OUT = Path("runs/scores")


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Score every response in a file."""

    file: Given = None
    """Responses to score; the default is the newest run's, or else a packaged example."""
    engine: SharedEngineOptions = field(default_factory=EngineOptions)
    judge: Annotated[JudgeOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=JudgeOptions)
    evidence: Annotated[EvidenceOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=EvidenceOptions)
    panel: Annotated[PanelOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=PanelOptions)
    cost: Annotated[CostOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=CostOptions)
    limit: Count | None = None
    """Score only the first N responses."""
    export_batch: OutRows | None = None
    """Ask nothing: write the calls as an OpenAI batch file, which vllm run-batch reads too."""
    import_batch: tyro.conf.UseAppendAction[tuple[Path, ...]] = ()
    """Ask nothing: read the replies from this output file of a batch; again for each further file."""
    out: OutRows | None = None
    """Where the judgments go; the default is runs/scores/<file>-<digest of its path>-<judge fingerprint>.jsonl."""


@starts_again
def main(config: Config) -> None:
    """Read, judge, store and print a table."""
    config = replace(config, engine=pinned(config.engine))
    from engines.options import open_engine
    from judges.judging.cost import Budget, price_of
    from judges.judging.judge import checked_rubric, has_every_reply, open_judge
    from judges.judging.stream import judge_stream, survey
    from judges.panels.panel import members
    from records import Judgment, Store
    from records.files import check_sources
    from records.inputs import check_out

    panel = [(pinned(one), own) for one, own in members(config.panel, config.engine, config.judge)]
    checked_rubric(config.judge)
    first = panel[0][0] if panel else config.engine
    budget = Budget(config.cost, price_of(first.model, config.cost.prices))
    file = config.file or default_source()
    check_out(config.out, file)
    check_sources(*config.import_batch)
    source = survey(file, config.limit, strict=config.strict)
    if panel:
        _score_by_panel(config, source, panel, budget)
        return
    judge = open_judge(open_engine(config.engine), config.judge, config.seed)
    if config.evidence.enabled:
        _score_checked(config, source, judge, budget)
        return
    out = config.out or _default_out(source, judge.fingerprint)
    if config.dry_run:
        _print_plan(config, [_plan(judge, source, out)])
        return
    with Store(out, Judgment, keep=has_every_reply, fresh=config.fresh) as store:
        _keep_to_input(store, source, judge, config)
        if config.export_batch:
            from judges.batches.files import export_batch

            responses = (row for _, row in source.responses())
            n = export_batch(judge, responses, config.export_batch, store.ids, store.unfinished)
            said = f"{n} calls in {config.export_batch}; their output comes back with --import-batch"
            tell_plan({"calls": n, "batch": config.export_batch}, said, as_json=config.json)
            return
        if config.import_batch:
            from judges.batches.files import import_batch

            responses = (row for _, row in source.responses())
            batch = (config.import_batch, store.ids, store.unfinished)
            for row in import_batch(judge, responses, *batch, strict=config.strict):
                store.append(row)
        summary = judge_stream(store, source, judge, budget, f"judging {Path(source.path).name}")
    _report(summary, judge, budget, out, config)


def default_source() -> Path:
    """Return the newest run's last responses, or the packaged example where there is no run."""
    from records.runs import newest_run

    latest_run = newest_run()
    return (latest_run and latest_run.newest("responses.jsonl")) or EXAMPLE


def table_of(summary: "Summary") -> "list[dict[str, Cell]]":
    """Return one table row for each model that wrote responses."""
    return [
        {
            "model": name,
            "responses": model.n,
            "unscored": model.n_unscored,
            "mean score": model.mean if model.n > model.n_unscored else None,
            "sd": model.deviation if model.n > model.n_unscored else None,
            "mean chars": model.n_chars / model.n,
        }
        for name, model in summary.models.items()
    ]


def _score_checked(config: Config, source: "Source", plain: "Judge", budget: "Budget") -> None:
    """Look up the claims of all responses, then judge them with what was found."""
    from console.errors import InputError
    from console.table import print_table
    from judges.judging.stream import WINDOW, judge_stream, windows
    from judges.retrieval.evidence import (
        evidence_path,
        finish_with,
        gather_into,
        open_checked_judge,
        open_evidence,
        was_checked,
    )
    from judges.retrieval.scores import evidence_summary
    from records import Judgment, Store

    if config.export_batch or config.import_batch:
        raise InputError("a batch has no tools: leave out --corpus, --search and --tool")
    judge, agent = open_checked_judge(plain, config.evidence)
    out = config.out or _default_out(source, judge.fingerprint)
    if config.dry_run:
        _print_plan(config, [_plan(judge, source, out)])
        return
    with open_evidence(evidence_path(out), fresh=config.fresh) as found:
        chunks = ([response for _, response in window] for window in windows(source.responses(), WINDOW))
        gather_into(found, agent, chunks, source.n)
        with Store(out, Judgment, keep=was_checked, fresh=config.fresh) as store:
            _keep_to_input(store, source, judge, config)
            title = f"judging {Path(source.path).name}"
            summary = judge_stream(store, source, judge, budget, title, finish_with(found, agent, judge))
        evidence = evidence_summary(found.latest())
    if not config.json:
        print_table([evidence])
        tell()
    _report(summary, judge, budget, out, config, extra={"evidence": evidence})


def _score_by_panel(config: Config, source: "Source", members: "Sequence[Member]", budget: "Budget") -> None:
    """Let each judge score all responses, then put their verdicts together."""
    from console.errors import InputError
    from console.table import print_table
    from judges.panels.rows import Panel, check_reached, open_members, panel_judgments
    from records.inputs import check_panel_out

    if config.export_batch or config.import_batch:
        raise InputError("a batch is of one judge: name it with --model, and make the panel from its rows afterwards")
    if config.out:
        check_panel_out(config.out)
    opened = open_members(members, config.panel.judge, config.seed)
    scored = [_score_by_member(config, source, opened.popleft(), one.model, budget) for one, _ in members]
    judges, paths, plans = zip(*scored, strict=True)
    panel = Panel(judges, paths, config.panel)
    out = config.out or _default_out(source, panel.fingerprint)
    if config.dry_run:
        _print_plan(config, plans, out)
        return
    summary, agreement = panel_judgments(panel, source, out)
    if not config.json:
        print_table(agreement)
        tell()
    who = f"a panel of {len(judges)}"
    extra = {"agreement": agreement, "judge": panel.fingerprint}
    _report(summary, judges[0], budget, out, config, who=who, extra=extra)
    check_reached(source.n - summary.n, source.n)


def _score_by_member(
    config: Config, source: "Source", judge: "Judge", model: str, budget: "Budget"
) -> "tuple[Judge, Path, dict[str, Any]]":
    """Return one judge of a panel, without its model, the file of its judgments, and in a dry run its plan."""
    from console.errors import EngineError
    from console.progress import say
    from judges.judging.cost import price_of
    from judges.judging.judge import has_every_reply
    from judges.judging.stream import judge_stream
    from judges.panels.rows import without_model
    from records import Judgment, Store

    budget.next_judge(price_of(model, config.cost.prices))
    path = _default_out(source, judge.fingerprint)
    if config.out:
        path = config.out.with_name(f"{config.out.stem}-{judge.fingerprint}.jsonl")
    if config.dry_run:
        return without_model(judge), path, _plan(judge, source, path)
    with Store(path, Judgment, keep=has_every_reply, fresh=config.fresh) as store:
        _keep_to_input(store, source, judge, config, in_panel=True)
        try:
            judge_stream(store, source, judge, budget, f"{judge.engine.name} judging")
        except EngineError as error:
            say(f"{judge.engine.name} has no vote on what it has not judged: {error}")
    return without_model(judge), path, {}


def _report(
    summary: "Summary",
    judge: "Judge",
    budget: "Budget",
    out: Path,
    config: Config,
    *,
    who: str | None = None,
    extra: "dict[str, Any] | None" = None,
) -> None:
    """Print the result; raises JudgeError where too few answers have a verdict."""
    from console.progress import say
    from judges.judging.judge import require_coverage
    from judges.judging.report import Report, say_room

    for line in summary.unscored:
        say(f"unscored: {line}")
    if (n_more := summary.reasons.total() - len(summary.unscored)) > 0:
        say(f"unscored: {n_more} more; each row has its reason in 'error'")
    if summary.n_incomplete:
        say(f"{summary.n_incomplete} rows lack samples whose calls failed: the same command asks for these again")
    low, high = judge.rubric.scale
    who = who or f"{judge.engine.name}{of_run(config.engine)}, read by {judge.read},"
    by = f"{who} on the rubric {judge.rubric.name}, {low:g} to {high:g}"
    report = Report("models", table_of(summary), judge.fingerprint, by, out, budget, summary.masses, extra or {})
    report.print(as_json=config.json)
    say_room(summary.reasons, judge)
    read = None if config.panel.judge else judge.read
    require_coverage(summary.n_scored, summary.n, summary.reasons, config.judge.min_coverage, read)


def _plan(judge: "Judge", source: "Source", out: Path) -> "dict[str, Any]":
    """Return what one judge would do."""
    from judges.judging.report import plan_of

    _, first = next(source.responses())
    what = {"responses": source.n, "of": str(source.path)}
    return plan_of(judge, what, source.n * judge.n_questions, out, judge.request(first))


def _print_plan(config: Config, plans: "Sequence[dict[str, Any]]", panel_out: Path | None = None) -> None:
    from judges.judging.report import print_plans

    print_plans(plans, "judge {responses} responses of {of}", "judgments", panel_out, as_json=config.json)


def _default_out(source: "Source", fingerprint: str) -> Path:
    from records.inputs import output_name

    return OUT / f"{output_name(source.path)}-{fingerprint}.jsonl"


def _keep_to_input(
    store: "Store[Judgment]", source: "Source", judge: "Judge", config: Config, *, in_panel: bool = False
) -> None:
    """Keep the output to the rows of this judge and of the whole input, whatever --limit says."""
    from dataclasses import replace

    from judges.judging.settle import settle
    from records.inputs import keep_to_input

    def wanted() -> "Iterator[str]":
        whole = replace(source, limit=None, repeats=False)
        return (judge.judgment_id(response) for _, response in whole.responses())

    if not config.fresh:
        settle(judge, store, lambda: judge.request(next(source.responses())[1]), in_panel=in_panel)
        keep_to_input(store, wanted, judge.fingerprint, source.path, given=config.out is not None)


if __name__ == "__main__":
    run(Config, main, "python -m judges.score")
