"""Output of a comparison run: its default file, the dry-run plan and the table of win rates."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from console.progress import say
from console.table import Cell
from engines.options import of_run
from judges.compare.options import Config
from judges.judging.cost import Budget
from judges.judging.coverage import require_coverage
from judges.judging.judge import Judge
from judges.judging.pairwise import Contest, both_orders_answered, first_request
from judges.judging.report import Report, plan_of, print_plans, say_room
from judges.judging.win_rate import WinRate, say_flips, win_rate
from judges.parsing.verdict import Masses
from records import Comparison
from records.inputs import output_name

OUT = Path("runs/comparisons")


def default_out(config: Config, fingerprint: str) -> Path:
    """Return the default output file for a judge, or for a panel, with this fingerprint."""
    names = [output_name(path) for path in (config.a, config.b) if path]
    orders = "" if config.orders == "both" else "-one"
    return OUT / f"{'-'.join(names)}-{fingerprint}{orders}.jsonl"


def plan(judge: Judge, contests: Sequence[Contest], config: Config, out: Path) -> dict[str, Any]:
    """Return the plan of one judge."""
    calls = len(contests) * judge.n_questions * (2 if config.orders == "both" else 1)
    return plan_of(judge, {"pairs": len(contests)}, calls, out, first_request(judge, contests[0]))


def print_plan(plans: Sequence[dict[str, Any]], config: Config, panel_out: Path | None = None) -> None:
    """Print the plans of the judges. A panel also has an output of its own, `panel_out`."""
    print_plans(plans, "compare {pairs} pairs", "comparisons", panel_out, as_json=config.json)


def report(
    comparisons: Sequence[Comparison],
    judge: Judge,
    budget: Budget,
    out: str | Path,
    config: Config,
    panel: dict[str, Any] | None = None,
) -> None:
    """Print the result. Raises JudgeError if too few pairs have a verdict."""
    masses = Masses()
    for comparison in comparisons:
        masses.add(comparison.mass)
    if n := sum(verdict.read != "panel" and not both_orders_answered(verdict) for verdict in comparisons):
        say(f"{n} rows lack samples whose calls failed: run the same command to ask for them again")
    who = f"a panel of {len(config.panel.judge)}" if panel else judge.engine.name + of_run(config.engine)
    read = "" if panel else f", read by {judge.read}"
    orders = "" if config.orders == "both" else ", each in one order only"
    by = f"{who} on the rubric {judge.rubric.name}{read}{orders}"
    say_flips(_win_rates(comparisons))
    table = table_of(comparisons)
    Report("pairs", table, judge.fingerprint, by, out, budget, masses, panel or {}).print(as_json=config.json)
    reasons = Counter(verdict.error or "unknown" for verdict in comparisons if verdict.winner is None)
    say_room(reasons, judge)
    n, reading = len(comparisons), None if panel else judge.read
    require_coverage(n - reasons.total(), n, config.judge.min_coverage, reasons=reasons, read=reading)


def table_of(comparisons: Sequence[Comparison]) -> list[dict[str, Cell]]:
    """Return one table row per two models that were compared, with the win rate of b."""
    table: list[dict[str, Cell]] = []
    for (a, b), group in _by_models(comparisons).items():
        rate = win_rate(group)
        wins = Counter(comparison.winner for comparison in group)
        table.append(
            {
                "a": a,
                "b": b,
                "pairs": len(group),
                "a wins": wins["a"],
                "ties": wins["tie"],
                "b wins": wins["b"],
                "flipped": rate.n_flipped,
                "flipped, %": rate.flipped_percent,
                "unscored": rate.n_unscored,
                "win rate of b, %": str(rate),
            }
        )
    return table


def _win_rates(comparisons: Sequence[Comparison]) -> dict[str, WinRate | None]:
    """Return the win rate of each two models that were compared, by their names."""
    return {f"{b} against {a}": win_rate(group) for (a, b), group in _by_models(comparisons).items()}


def _by_models(comparisons: Sequence[Comparison]) -> dict[tuple[str, str], list[Comparison]]:
    groups: dict[tuple[str, str], list[Comparison]] = {}
    for comparison in comparisons:
        groups.setdefault((comparison.model_a, comparison.model_b), []).append(comparison)
    return groups
