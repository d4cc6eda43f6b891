"""Output of a comparison run: its default file, the dry-run plan and the table of win rates."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
from judges.judging.win_rate import Tally, say_flips
from judges.parsing.verdict import Masses
from records import Comparison
from records.disk import DiskRows
from records.inputs import output_name

OUT = Path("runs/comparisons")


@dataclass
class Summary:
    """What a command prints at its end, added up as the verdicts come."""

    tallies: dict[tuple[str, str], Tally] = field(default_factory=dict)
    """By the names of the two models."""
    masses: Masses = field(default_factory=Masses)
    reasons: Counter[str] = field(default_factory=Counter)
    """Why pairs have no verdict."""
    n_incomplete: int = 0
    """Rows with a sample whose call failed."""

    def add(self, comparison: Comparison) -> None:
        """Count one verdict."""
        self.tallies.setdefault((comparison.model_a, comparison.model_b), Tally()).add(comparison)
        self.masses.add(comparison.mass)
        if comparison.winner is None:
            self.reasons[comparison.error or "unknown"] += 1
        self.n_incomplete += comparison.read != "panel" and not both_orders_answered(comparison)

    @property
    def n(self) -> int:
        """Return how many verdicts there are."""
        return sum(tally.n for tally in self.tallies.values())


def default_out(config: Config, fingerprint: str) -> Path:
    """Return the default output file for a judge, or for a panel, with this fingerprint."""
    names = [output_name(path) for path in (config.a, config.b) if path]
    orders = "" if config.orders == "both" else "-one"
    return OUT / f"{'-'.join(names)}-{fingerprint}{orders}.jsonl"


def plan(judge: Judge, contests: DiskRows[Contest], config: Config, out: Path) -> dict[str, Any]:
    """Return the plan of one judge."""
    calls = len(contests) * judge.n_calls * (2 if config.orders == "both" else 1)
    first = first_request(judge, contests[0])
    return plan_of(judge, {"pairs": len(contests)}, calls, out, first, config.cost.prices)


def print_plan(plans: Sequence[dict[str, Any]], config: Config, panel_out: Path | None = None) -> None:
    """Print the plans of the judges. A panel also has an output of its own, `panel_out`."""
    print_plans(plans, "compare {pairs} pairs", "comparisons", panel_out, as_json=config.json)


def report(
    summary: Summary,
    judge: Judge,
    budget: Budget,
    out: str | Path,
    config: Config,
    panel: dict[str, Any] | None = None,
) -> None:
    """Print the result. Raises JudgeError if too few pairs have a verdict."""
    if n := summary.n_incomplete:
        say(f"{n} rows lack samples whose calls failed: run the same command to ask for them again")
    who = f"a panel of {len(config.panel.judge)}" if panel else judge.engine.name + of_run(config.engine)
    read = "" if panel else f", read by {judge.read}"
    orders = "" if config.orders == "both" else ", each in one order only"
    by = f"{who} on the rubric {judge.rubric.name}{read}{orders}"
    rates = {models: tally.rate() for models, tally in summary.tallies.items()}
    say_flips({f"{b} against {a}": rate for (a, b), rate in rates.items()})
    table = table_of(summary.tallies)
    Report("pairs", table, judge.fingerprint, by, out, budget, summary.masses, panel or {}).print(as_json=config.json)
    say_room(summary.reasons, judge)
    n, reasons, reading = summary.n, summary.reasons, None if panel else judge.read
    require_coverage(n - reasons.total(), n, config.judge.min_coverage, reasons=reasons, read=reading)


def table_of(tallies: Mapping[tuple[str, str], Tally]) -> list[dict[str, Cell]]:
    """Return one table row per two models that were compared, with the win rate of b."""
    table: list[dict[str, Cell]] = []
    for (a, b), tally in tallies.items():
        rate = tally.rate()
        table.append(
            {
                "a": a,
                "b": b,
                "pairs": tally.n,
                "a wins": tally.wins["a"],
                "ties": tally.wins["tie"],
                "b wins": tally.wins["b"],
                "flipped": rate.n_flipped,
                "flipped, %": rate.flipped_percent,
                "unscored": rate.n_unscored,
                "win rate of b, %": str(rate),
            }
        )
    return table
