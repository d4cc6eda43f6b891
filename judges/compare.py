"""Say which of two answers is better, asked in both orders.

python -m judges.compare a.jsonl b.jsonl                        the answers of two models, joined by their prompts
python -m judges.compare pairs.jsonl --engine openai --model gpt-5-mini --read text
python -m judges.compare a.jsonl b.jsonl --rubric pairwise_5    five levels instead of three
python -m judges.compare judgments.jsonl --rubric meta_judge    the replies of a judge, compared with one another
python -m judges.compare a.jsonl b.jsonl --judge smollm2 --judge big@http://localhost:8000/v1               a panel
python -m judges.compare a.jsonl b.jsonl --engine openai --model gpt-4.1-mini --export-batch batch.jsonl

Where both orders name different winners the pair is a tie and marked as flipped. Stopped and started again, it goes on
where it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from console.again import starts_again
from console.command import Flags, Given, run
from console.output import tell, tell_plan
from console.ranges import Count
from console.writing import OutRows
from engines.options import EngineOptions, SharedEngineOptions, of_run, pinned
from judges.options import PAIRWISE, CostOptions, JudgeOptions, PanelOptions

if TYPE_CHECKING:
    from console.table import Cell
    from judges.judging.cost import Budget
    from judges.judging.judge import Judge
    from judges.judging.pairwise import Contest, WinRate
    from judges.panels.panel import Member
    from records import Comparison

OUT = Path("runs/comparisons")


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Say which of two answers is better."""

    a: Given = None
    """Answers, or a file that has two answers in each row."""
    b: Given = None
    """The answers to compare them with."""
    engine: SharedEngineOptions = field(default_factory=EngineOptions)
    judge: Annotated[JudgeOptions, tyro.conf.OmitArgPrefixes] = PAIRWISE
    panel: Annotated[PanelOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=PanelOptions)
    cost: Annotated[CostOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=CostOptions)
    orders: Literal["both", "one"] = "both"
    """one asks each pair in a single order, drawn from the seed and recorded: half the cost, and the judge's preference
    for a place stays in."""
    limit: Count | None = None
    """Compare only the first N pairs."""
    export_batch: OutRows | None = None
    """Ask nothing: write the calls as an OpenAI batch file, which vllm run-batch reads too."""
    import_batch: tyro.conf.UseAppendAction[tuple[Path, ...]] = ()
    """Ask nothing: read the replies from this output file of a batch; again for each further file."""
    out: OutRows | None = None
    """Where the comparisons go; the default is runs/comparisons/<files>-<judge fingerprint>.jsonl, each file with a
    digest of its path."""


@starts_again
def main(config: Config) -> None:
    """Read, compare, store and print a table."""
    config = replace(config, engine=pinned(config.engine))
    from console.errors import InputError
    from engines.options import open_engine
    from judges.judging.contests import read_contests
    from judges.judging.cost import Budget, price_of
    from judges.judging.judge import open_judge
    from judges.panels.panel import members
    from judges.rubrics.rubric import load_rubric
    from records.files import check_limit, check_sources
    from records.inputs import check_out

    if config.a is None:
        raise InputError("nothing to compare; give two files of answers, or one of pairs")
    check_limit(config.limit)
    check_sources(*config.import_batch)
    check_out(config.out, config.a, config.b)
    panel = [(pinned(one), own) for one, own in members(config.panel, config.engine, config.judge)]
    engine, options = panel[0] if panel else (config.engine, config.judge)
    rubric = load_rubric(options.rubric)
    if rubric.kind != "pair":
        raise InputError(f"the rubric '{rubric.name}' scores one answer; compare with another one, such as pairwise")
    budget = Budget(config.cost, price_of(engine.model, config.cost.prices))
    everything = read_contests(config.a, config.b, rubric, strict=config.strict)
    if panel:
        _compare_by_panel(config, everything, panel, budget)
        return
    plans: list[dict[str, Any]] = []
    judge = open_judge(open_engine(engine), options, config.seed)
    judge, out, rows = _compare_by(judge, config, everything, budget, plans)
    if rows is not None:
        _report(rows, judge, budget, out, config)
    elif config.dry_run:
        _print_plans(plans, config)


def _compare_by(
    judge: "Judge",
    config: Config,
    everything: "Sequence[Contest]",
    budget: "Budget",
    plans: list[dict[str, Any]],
    *,
    in_panel: bool = False,
) -> "tuple[Judge, Path, list[Comparison] | None]":
    """Return one judge without its model, the file of its comparisons, and these; None where nothing is asked.

    In a dry run what it would do is added to `plans`.
    """
    from console.errors import EngineError
    from console.progress import say
    from judges.judging.pairwise import both_orders_answered, compare_into, comparison_id, first_request
    from judges.judging.settle import settle
    from judges.panels.rows import without_model
    from records import Comparison, Store
    from records.files import take
    from records.inputs import keep_to_input

    contests = list(take(everything, config.limit))
    path = config.out or _default_out(config, judge.fingerprint)
    if config.out and in_panel:
        path = config.out.with_name(f"{config.out.stem}-{judge.fingerprint}.jsonl")
    if config.dry_run:
        plans.append(_plan(judge, contests, config, path))
        return without_model(judge), path, None
    with Store(path, Comparison, keep=both_orders_answered, fresh=config.fresh) as store:
        if not config.fresh:
            settle(judge, store, lambda: first_request(judge, contests[0]), in_panel=in_panel)
            wanted = (comparison_id(judge, contest, config.orders) for contest in everything)
            files = " and ".join(str(file) for file in (config.a, config.b) if file)
            keep_to_input(store, lambda: wanted, judge.fingerprint, files, given=config.out is not None)
        if config.export_batch:
            from judges.batches.files import export_contests

            n = export_contests(judge, contests, config.export_batch, store.ids, config.orders, store.unfinished)
            said = f"{n} calls in {config.export_batch}; their output comes back with --import-batch"
            tell_plan({"calls": n, "batch": config.export_batch}, said, as_json=config.json)
            return judge, path, None
        if config.import_batch:
            from judges.batches.files import import_contests

            batch = (config.import_batch, store.ids, config.orders, store.unfinished)
            for row in import_contests(judge, contests, *batch, strict=config.strict):
                store.append(row)
        try:
            rows = compare_into(store, judge, contests, f"{judge.engine.name} comparing", config.orders, budget)
        except EngineError as error:
            if not in_panel:
                raise
            say(f"{judge.engine.name} has no vote on what it has not compared: {error}")
            ids = (comparison_id(judge, contest, config.orders) for contest in contests)
            rows = list(store.chosen(dict.fromkeys(ids)))
    return without_model(judge), path, rows


def _compare_by_panel(
    config: Config, everything: "Sequence[Contest]", members: "Sequence[Member]", budget: "Budget"
) -> None:
    """Let each judge compare all pairs, then put their verdicts together."""
    from console.errors import InputError
    from console.table import print_table
    from judges.judging.cost import price_of
    from judges.judging.pairwise import comparison_id
    from judges.panels.rows import Panel, check_reached, open_members, panel_comparisons
    from records.files import take
    from records.inputs import check_panel_out

    if config.export_batch or config.import_batch:
        raise InputError("a batch is of one judge: name it with --model, and make the panel from its rows afterwards")
    if config.out:
        check_panel_out(config.out)
    contests = list(take(everything, config.limit))
    judges, paths, own, plans = [], [], [], list[dict[str, Any]]()
    opened = open_members(members, config.panel.judge, config.seed)
    for engine, _ in members:
        budget.next_judge(price_of(engine.model, config.cost.prices))
        judge, path, rows = _compare_by(opened.popleft(), config, everything, budget, plans, in_panel=True)
        by_id = {row.id: row for row in rows or ()}
        judges.append(judge)
        paths.append(path)
        own.append([by_id.get(comparison_id(judge, contest, config.orders)) for contest in contests])
    panel = Panel(judges, paths, config.panel)
    out = config.out or _default_out(config, panel.fingerprint)
    if config.dry_run:
        _print_plans(plans, config, out)
        return
    rows, agreement = panel_comparisons(panel, own, out)
    if not config.json:
        print_table(agreement)
        tell()
    _report(rows, judges[0], budget, out, config, {"agreement": agreement, "judge": panel.fingerprint})
    check_reached(len(contests) - sum(any(unit) for unit in zip(*own, strict=True)), len(contests))


def table_of(rows: "Sequence[Comparison]") -> "list[dict[str, Cell]]":
    """Return one table row for each two models that were compared; the win rate is b's."""
    from judges.judging.pairwise import win_rate

    table: list[dict[str, Cell]] = []
    for (a, b), own in _by_models(rows).items():
        rate = win_rate(own)
        counts = {name: sum(row.winner == key for row in own) for name, key in (("a", "a"), ("tie", "tie"), ("b", "b"))}
        table.append(
            {
                "a": a,
                "b": b,
                "pairs": len(own),
                "a wins": counts["a"],
                "ties": counts["tie"],
                "b wins": counts["b"],
                "flipped": rate.n_flipped,
                "flipped, %": rate.flipped_percent,
                "unscored": rate.n_unscored,
                "win rate of b, %": str(rate),
            }
        )
    return table


def rates_of(rows: "Sequence[Comparison]") -> "dict[str, WinRate | None]":
    """Return the win rate of each two models that were compared, by their names."""
    from judges.judging.pairwise import win_rate

    return {f"{b} against {a}": win_rate(own) for (a, b), own in _by_models(rows).items()}


def _by_models(rows: "Sequence[Comparison]") -> "dict[tuple[str, str], list[Comparison]]":
    found: dict[tuple[str, str], list[Comparison]] = {}
    for row in rows:
        found.setdefault((row.model_a, row.model_b), []).append(row)
    return found


def _report(
    rows: "Sequence[Comparison]",
    judge: "Judge",
    budget: "Budget",
    out: Path,
    config: Config,
    panel: "dict[str, Any] | None" = None,
) -> None:
    """Print the result; raises JudgeError where too few pairs have a verdict."""
    from collections import Counter

    from console.progress import say
    from judges.judging.judge import require_coverage
    from judges.judging.pairwise import both_orders_answered, say_flips
    from judges.judging.report import Report, say_room
    from judges.parsing.verdict import Masses

    masses = Masses()
    for row in rows:
        masses.add(row.mass)
    if n := sum(row.read != "panel" and not both_orders_answered(row) for row in rows):
        say(f"{n} rows lack samples whose calls failed: the same command asks for these again")
    who = f"a panel of {len(config.panel.judge)}" if panel else judge.engine.name + of_run(config.engine)
    read = "" if panel else f", read by {judge.read}"
    one = "" if config.orders == "both" else ", each in one order only"
    by = f"{who} on the rubric {judge.rubric.name}{read}{one}"
    say_flips(rates_of(rows))
    Report("pairs", table_of(rows), judge.fingerprint, by, out, budget, masses, panel or {}).print(as_json=config.json)
    reasons = Counter(row.error or "unknown" for row in rows if row.winner is None)
    say_room(reasons, judge)
    own = None if panel else judge.read
    require_coverage(len(rows) - reasons.total(), len(rows), reasons, config.judge.min_coverage, own)


def _default_out(config: Config, fingerprint: str) -> Path:
    from records.inputs import output_name

    names = [output_name(path) for path in (config.a, config.b) if path]
    one = "" if config.orders == "both" else "-one"
    return OUT / f"{'-'.join(names)}-{fingerprint}{one}.jsonl"


def _plan(judge: "Judge", contests: "Sequence[Contest]", config: Config, out: Path) -> dict[str, Any]:
    """Return what one judge would do."""
    from judges.judging.pairwise import first_request
    from judges.judging.report import plan_of

    calls = len(contests) * judge.n_questions * (2 if config.orders == "both" else 1)
    return plan_of(judge, {"pairs": len(contests)}, calls, out, first_request(judge, contests[0]))


def _print_plans(plans: Sequence[dict[str, Any]], config: Config, panel_out: Path | None = None) -> None:
    from judges.judging.report import print_plans

    print_plans(plans, "compare {pairs} pairs", "comparisons", panel_out, as_json=config.json)


if __name__ == "__main__":
    run(Config, main, "python -m judges.compare")
