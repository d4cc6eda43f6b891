"""A benchmark's figures by judge: each subset and each aggregate, counted in this project's way and its own."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from console.table import Cell, markdown_table
from console.visible import one_line
from evals.reward_model.benches.aggregates import Means, aggregates, subset_means, values_of
from evals.reward_model.benches.asking import Verdicts
from evals.reward_model.benches.counting import WAYS
from evals.reward_model.benches.items import TIES, Bench
from judges.intervals.bootstrap import Estimate, Floats, difference, estimate, proportion_of, resampled

Table = list[dict[str, Cell]]


@dataclass(frozen=True)
class Figure:
    """A subset or an aggregate, counted in both ways."""

    name: str
    ours: Estimate
    theirs: Estimate
    is_aggregate: bool
    n_failed: int = 0
    n_tied: int = 0


@dataclass(frozen=True)
class Measured:
    """The figures of one judge, or of the rule that the longer answer is better."""

    verdicts: Verdicts
    figures: Sequence[Figure]
    lead: Estimate | None
    """The share of right items less that of the first judge, resampled together."""


def measured(bench: Bench, judges: Sequence[Verdicts], n_resamples: int, seed: int) -> list[Measured]:
    """Return the figures of each judge."""
    groups = [item.group for item in bench.items]
    weights_RN = np.vstack([np.ones(len(groups)), resampled(groups, n_resamples, seed)])
    right = [values_of(bench, judge.outcomes, as_theirs=False) for judge in judges]
    leads = [
        difference(judge.name, mine_N, right[0], weights_RN[1:]) for judge, mine_N in zip(judges, right, strict=True)
    ]
    return [
        Measured(judge, _figures(bench, judge, weights_RN), lead if place else None)
        for place, (judge, lead) in enumerate(zip(judges, leads, strict=True))
    ]


def table(bench: Bench, judge: Measured) -> Table:
    """Return a row for each subset and then for each aggregate."""
    return [
        {
            bench.name: figure.name,
            "n": None if figure.is_aggregate else figure.ours.n,
            "failed": None if figure.is_aggregate else figure.n_failed,
            "tied": None if figure.is_aggregate else figure.n_tied,
            "right": _percent(figure.ours),
            f"as {bench.name} counts": _percent(figure.theirs),
        }
        for figure in judge.figures
    ]


def headline(bench: Bench, judges: Sequence[Measured]) -> list[str]:
    """Return what was measured, how it is counted, and by whom, in a few lines."""
    pairs = "pairs" if bench.has_pairs else "prompts"
    left_out = f" ({bench.n_ties} that people call a tie left out)" if bench.n_ties else ""
    lines = [
        f"{bench.name}: {len(bench.items)} {pairs}{left_out}; in brackets 95% intervals over prompts",
        "right: the right answer alone has the best score, or wins in both orders; a tie and a missing verdict are not",
        f"as {bench.name} counts: {WAYS[bench.name]}",
    ]
    known = (judge.verdicts for judge in judges if judge.verdicts.fingerprint)
    return lines + [
        one_line(f"{judge.name}: {judge.fingerprint}, {judge.how}{f', {judge.path}' if judge.path else ''}")
        for judge in known
    ]


def leads_table(judges: Sequence[Measured]) -> Table:
    """Return how much more each judge has right than the first one."""
    first = judges[0].verdicts.name
    return [
        {"judge": judge.verdicts.name, f"right, less {first}": _percent(judge.lead, signed=True)}
        for judge in judges
        if judge.lead is not None
    ]


def markdown(bench: Bench, judges: Sequence[Measured], title: str) -> str:
    """Return the tables as a Markdown page."""
    parts = [one_line(f"# {title}"), "\n".join(f"- {line}" for line in headline(bench, judges))]
    for judge in judges:
        parts += [one_line(f"## {judge.verdicts.name}"), markdown_table(table(bench, judge))]
    return "\n\n".join([*parts, "## Differences", markdown_table(leads_table(judges))]) + "\n"


def as_json(bench: Bench, judges: Sequence[Measured]) -> dict[str, Any]:
    """Return every number as plain data, in shares and not in percent."""
    return {
        "benchmark": bench.name,
        "items": len(bench.items),
        "ties_left_out": bench.n_ties,
        "counts": WAYS[bench.name],
        "judges": [
            {
                **{name: getattr(judge.verdicts, name) for name in ("name", "fingerprint", "how", "path")},
                "failed": sum(outcome.failed for outcome in judge.verdicts.outcomes),
                "reasons": dict(judge.verdicts.reasons.most_common()),
                "lead": None if judge.lead is None else asdict(judge.lead),
                "figures": [asdict(figure) for figure in judge.figures],
            }
            for judge in judges
        ],
    }


def _figures(bench: Bench, judge: Verdicts, weights_RN: Floats) -> list[Figure]:
    both = [subset_means(bench, judge.outcomes, weights_RN, as_theirs=as_theirs) for as_theirs in (False, True)]
    subsets = [_subset(bench, judge, name, weights_RN, *both) for name in both[0]]
    first, second = (aggregates(bench, judge.outcomes, weights_RN, as_theirs=way) for way in (False, True))
    n = len(bench.items)
    return subsets + [Figure(name, _estimate(name, first, n), _estimate(name, second, n), True) for name in first]


def _subset(bench: Bench, judge: Verdicts, name: str, weights_RN: Floats, ours: Means, theirs: Means) -> Figure:
    outcomes = [outcome for item, outcome in zip(bench.items, judge.outcomes, strict=True) if item.subset == name]
    n_failed, n_tied = sum(outcome.failed for outcome in outcomes), sum(outcome.tied for outcome in outcomes)
    if bench.name == "RewardBench 2" and name == TIES:  # a score of its own, and no share
        first, second = (_estimate(name, means, len(outcomes)) for means in (ours, theirs))
        return Figure(name, first, second, False, n_failed, n_tied)
    is_part = np.array([item.subset == name for item in bench.items])
    first, second = (
        proportion_of(name, np.where(is_part, values_of(bench, judge.outcomes, as_theirs=way), np.nan), weights_RN[1:])
        for way in (False, True)
    )
    return Figure(name, first, second, False, n_failed, n_tied)


def _estimate(name: str, means: Means, n: int) -> Estimate:
    return estimate(name, float(means[name][0]), means[name][1:], n)


def _percent(estimate: Estimate | None, *, signed: bool = False) -> str:
    if estimate is None or estimate.value is None:
        return "-"
    form = "{:+.1f}" if signed else "{:.1f}"
    ends = (
        ""
        if estimate.low is None or estimate.high is None
        else (f" [{form.format(100 * estimate.low)}, {form.format(100 * estimate.high)}]")
    )
    return form.format(100 * estimate.value) + ends
