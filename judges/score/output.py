"""Output of a scoring run: its default file, the rows that it may hold, the dry-run plan and the final table."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from console.progress import say
from console.table import Cell
from engines.options import of_run
from engines.shards.share import take_in
from judges.judging.cost import Budget
from judges.judging.coverage import require_coverage
from judges.judging.judge import Judge
from judges.judging.report import Report, plan_of, print_plans, say_room
from judges.judging.settle import settle
from judges.judging.stream import Source, Summary
from judges.score.options import Config
from records import Judgment, Store
from records.inputs import judged_key, keep_to_input, output_name

OUT = Path("runs/scores")


def default_out(source: Source, fingerprint: str) -> Path:
    """Return the default output file for a judge, or for a panel, with this fingerprint."""
    return OUT / f"{output_name(source.path)}-{fingerprint}.jsonl"


def keep_to_source(
    store: Store[Judgment], source: Source, judge: Judge, config: Config, *, in_panel: bool = False
) -> None:
    """Take in what workers left, and keep only this judge's rows about the whole input, whatever --limit is."""
    take_in(store, Judgment, fresh=config.fresh)
    whole = replace(source, limit=None, repeats=False)  # a smaller --limit must not throw rows away

    def wanted_ids() -> Iterator[str]:
        return (judge.judgment_id(response) for _, response in whole.responses())

    def answers() -> Iterator[str]:
        return (judged_key(response) for _, response in whole.responses())

    if not config.fresh:
        settle(judge, store, lambda: judge.request(next(source.responses())[1]), in_panel=in_panel)
        given = config.out is not None
        keep_to_input(store, wanted_ids, judge.fingerprint, source.path, given=given, answers=answers)


def plan(judge: Judge, source: Source, out: Path, prices: Path | None = None) -> dict[str, Any]:
    """Return the plan of one judge."""
    _, first = next(source.responses())
    counts = {"responses": source.n, "of": str(source.path)}
    question = judge.request(first) if judge.is_asked else None
    return plan_of(judge, counts, source.n * judge.n_calls, out, question, prices)


def print_plan(config: Config, plans: Sequence[dict[str, Any]], panel_out: Path | None = None) -> None:
    """Print the plans of the judges. A panel also has an output of its own, `panel_out`."""
    print_plans(plans, "judge {responses} responses of {of}", "judgments", panel_out, as_json=config.json)


def report(
    summary: Summary,
    judge: Judge,
    budget: Budget,
    out: str | Path,
    config: Config,
    *,
    who: str | None = None,
    extra: dict[str, Any] | None = None,
) -> None:
    """Print the result. Raises JudgeError if too few answers have a score."""
    for line in summary.unscored:
        say(f"unscored: {line}")
    if (n_more := summary.reasons.total() - len(summary.unscored)) > 0:
        say(f"unscored: {n_more} more, each row gives its reason in 'error'")
    if summary.n_incomplete:
        say(f"{summary.n_incomplete} rows lack samples whose calls failed: run the same command to ask for them again")
    low, high = judge.rubric.scale
    if not judge.is_asked:
        who = "the constraints alone,"
    who = who or f"{judge.engine.name}{of_run(config.engine)}, read by {judge.read},"
    by = f"{who} on the rubric {judge.rubric.name}, {low:g} to {high:g}"
    table = _table(summary)
    Report("models", table, judge.fingerprint, by, out, budget, summary.masses, extra or {}).print(as_json=config.json)
    say_room(summary.reasons, judge)
    read = None if config.panel.judge else judge.reading
    advice = {} if judge.is_asked else {"advice": "--verify cap keeps the rubric's score of these"}
    coverage = config.judge.min_coverage
    require_coverage(summary.n_scored, summary.n, coverage, reasons=summary.reasons, read=read, **advice)


def _table(summary: Summary) -> list[dict[str, Cell]]:
    """Return one table row per model that wrote responses."""
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
