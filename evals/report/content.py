"""What a report says, before it becomes HTML, Markdown or JSON."""

from collections.abc import Sequence
from dataclasses import dataclass

from evals.report.drawing.choice import curves, distributions
from evals.report.drawing.panels import Panel
from evals.report.facts.pairs import pairs_of
from evals.report.facts.run import RunFacts
from evals.report.facts.shown import ShownPair
from evals.report.tables.iterations import headline, iterations_table, rlp_tables, rounds_table
from evals.report.tables.others import benchmarks_table, missing_of, monitors_table, reasons_table, settings_table
from evals.report.tables.table import Table

UNREADABLE = "Cannot be read"


@dataclass(frozen=True)
class Content:
    """The parts of a report, in their order."""

    title: str
    facts: list[str]
    headlines: list[str]
    tables: list[Table]
    curves: list[Panel]
    distributions: list[Panel]
    pairs: dict[str, list[ShownPair]]
    """By the title of their section."""
    settings: Table
    lists: dict[str, list[str]]
    """What is missing, and what cannot be read."""


def content_of(runs: Sequence[RunFacts], seed: int) -> Content:
    """Return the report on one run, or on two side by side."""
    names, several = [facts.name for facts in runs], len(runs) > 1
    iterations = iterations_table(runs)
    others = [monitors_table(runs), benchmarks_table(runs), *rlp_tables(runs), rounds_table(runs), reasons_table(runs)]
    problems: list[str] = []
    pairs = {
        f"Pairs of {facts.name}" if several else "Pairs, disagreements first": pairs_of(facts.run, seed, problems)
        for facts in runs
    }
    problems = list(dict.fromkeys([problem for facts in runs for problem in facts.problems] + problems))
    lists = {f"Not measured in {facts.name}" if several else "Not measured": missing_of(facts) for facts in runs}
    return Content(
        title=" and ".join(dict.fromkeys(names)),
        facts=[_facts(facts) for facts in runs],
        headlines=[f"{facts.name}: {headline(facts)}" if several else headline(facts) for facts in runs],
        tables=[iterations, *(table for table in others if table.rows)],
        curves=curves(runs),
        distributions=distributions(runs),
        pairs={title: some for title, some in pairs.items() if some},
        settings=settings_table(runs),
        lists={title: lines for title, lines in (lists | {UNREADABLE: problems}).items() if lines},
    )


def _facts(facts: RunFacts) -> str:
    engine = facts.settings.get("engine")
    base = engine.get("model") if isinstance(engine, dict) else None
    parts = [str(facts.run.folder), facts.state, f"base model {base}" if base else ""]
    seed = facts.settings.get("seed")
    parts.append("" if seed is None else f"seed {seed}")
    parts.append(f"judgeloop {facts.versions['judgeloop']}" if "judgeloop" in facts.versions else "")
    return " · ".join(part for part in parts if part)
