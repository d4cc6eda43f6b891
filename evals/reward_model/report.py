"""Measures of judges on ranked answers, beside two baselines, with paired differences between judges."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from console.table import Cell, markdown_table
from console.visible import one_line
from evals.reward_model.metrics import Prompt, Scores, Unscored, Values, at_random, measures, n_unscored
from judges.intervals.bootstrap import Estimate
from judges.labelled.ranked import RankedAnswers

Table = list[dict[str, Cell]]
LONGER, RANDOM = "the longer is better", "random"
WAYS: tuple[Unscored, ...] = ("wrong", "left out")


@dataclass(frozen=True)
class Judged:
    """One judge's scores of all answers."""

    name: str
    fingerprint: str
    rubric: str
    read: str
    top: float | None
    """The best score of the rubric, or None for a reward model, which has none."""
    scores: Sequence[Scores]
    """One list per prompt, in the order of its answers."""
    reasons: Counter[str]
    """The number of answers without a score, by reason."""
    path: str
    """The file of the judgments."""


@dataclass(frozen=True)
class Comparison:
    """The estimates of all judges and baselines, by name, for both ways to count answers without a score."""

    judges: Sequence[Judged]
    estimates: dict[Unscored, dict[str, list[Estimate]]]
    differences: dict[str, list[Estimate]]
    """By the names of the two that are compared. Answers without a score count as wrong."""
    n_prompts: int
    n_answers: int
    n_pairs: int


def compared(
    ranked: Sequence[RankedAnswers], prompts: Sequence[Prompt], judges: Sequence[Judged], n_resamples: int, seed: int
) -> Comparison:
    """Return every measure of every judge, and their differences from the first judge and from the longer answer."""
    lengths = [[float(len(response)) for response in answers.responses] for answers in ranked]
    values: dict[Unscored, dict[str, list[Values]]] = {}
    for way in WAYS:
        values[way] = {judge.name: measures(prompts, judge.scores, judge.top, way) for judge in judges}
        # no top for a length; judges on one rubric share a top, so the first's is as good as any
        values[way] |= {LONGER: measures(prompts, lengths, None, way), RANDOM: at_random(prompts, judges[0].top)}
    first, *others = (judge.name for judge in judges)
    contrasts = [*((other, first) for other in others), *((judge.name, LONGER) for judge in judges)]
    wrong = values["wrong"]
    return Comparison(
        judges,
        {way: _estimates(values[way], n_resamples, seed) for way in WAYS},
        {f"{name} less {other}": _less(wrong[name], wrong[other], n_resamples, seed) for name, other in contrasts},
        len(prompts),
        sum(len(answers.responses) for answers in ranked),
        sum(len(prompt.pairs) for prompt in prompts),
    )


def tables(comparison: Comparison) -> dict[str, Table]:
    """Return the tables by their titles: all measures, the same without unscored answers, and the differences."""
    n_by_judge = {judge.name: str(n_unscored(judge.scores)) for judge in comparison.judges}
    unscored = _row("answers without a score", n_by_judge, comparison)
    shown = {"answers without a score count as wrong": [*_table(comparison, "wrong"), unscored]}
    if any(judge.reasons for judge in comparison.judges):
        shown["answers without a score are left out"] = _table(comparison, "left out")
    differences = {contrast: _by_measure(estimates) for contrast, estimates in comparison.differences.items()}
    measured = dict.fromkeys(name for by_measure in differences.values() for name in by_measure)
    shown["paired differences"] = [
        {"measure": name, **{contrast: _cell(by_measure.get(name)) for contrast, by_measure in differences.items()}}
        for name in measured
    ]
    return shown


def markdown(comparison: Comparison, title: str) -> str:
    """Return the tables as a Markdown page."""
    parts = [one_line(f"# {title}"), summary(comparison)]
    for name, table in tables(comparison).items():
        parts.append(f"## {name[0].upper()}{name[1:]}\n\n{markdown_table(table)}")
    return "\n\n".join(parts) + "\n"


def summary(comparison: Comparison) -> str:
    """Return in words which judges were measured on how many answers."""
    judges = [
        f"{judge.name}: {judge.fingerprint}, rubric {judge.rubric}, reading: {judge.read}, {judge.path}"
        for judge in comparison.judges
    ]
    n_answers = f"{comparison.n_prompts} prompts, {comparison.n_answers} answers"
    n = f"{n_answers}, {comparison.n_pairs} pairs that people ordered"
    return f"{n}; in brackets 95% intervals over prompts, those of one tree together\n{one_line('; '.join(judges))}"


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Return every number as plain data."""
    return {
        "prompts": comparison.n_prompts,
        "answers": comparison.n_answers,
        "pairs": comparison.n_pairs,
        "judges": [
            {
                **{name: getattr(judge, name) for name in ("name", "fingerprint", "rubric", "read", "path")},
                "unscored": n_unscored(judge.scores),
                "reasons": dict(judge.reasons.most_common()),
            }
            for judge in comparison.judges
        ],
        "measures": {
            f"unscored {way}": {name: list(map(asdict, estimates)) for name, estimates in by_name.items()}
            for way, by_name in comparison.estimates.items()
        },
        "differences": {contrast: list(map(asdict, some)) for contrast, some in comparison.differences.items()},
    }


def _estimates(values: dict[str, list[Values]], n_resamples: int, seed: int) -> dict[str, list[Estimate]]:
    return {name: [measure.estimate(n_resamples, seed) for measure in some] for name, some in values.items()}


def _less(values: Sequence[Values], others: Sequence[Values], n_resamples: int, seed: int) -> list[Estimate]:
    by_name = {other.name: other for other in others}
    return [measure.less(by_name[measure.name], n_resamples, seed) for measure in values if measure.name in by_name]


def _by_measure(estimates: Sequence[Estimate]) -> dict[str, Estimate]:
    return {estimate.name: estimate for estimate in estimates}


def _table(comparison: Comparison, way: Unscored) -> Table:
    estimates = {judge: _by_measure(some) for judge, some in comparison.estimates[way].items()}
    longest = max(estimates.values(), key=len)  # first, for the order of the measures: a rule may lack one
    names = dict.fromkeys(name for by_measure in (longest, *estimates.values()) for name in by_measure)
    return [
        _row(name, {judge: _cell(by_measure.get(name)) for judge, by_measure in estimates.items()}, comparison)
        for name in names
    ]


def _row(name: str, cells: dict[str, str], comparison: Comparison) -> dict[str, Cell]:
    return {"measure": name, **{judge: cells.get(judge, "-") for judge in comparison.estimates["wrong"]}}


def _cell(estimate: Estimate | None) -> str:
    if estimate is None or estimate.value is None:
        return "-"
    has_interval = estimate.low is not None and estimate.high is not None
    interval = f" [{estimate.low:.3f}, {estimate.high:.3f}]" if has_interval else ""
    return f"{estimate.value:.3f}{interval}" + (f", n {estimate.n}" if estimate.name.endswith("-best") else "")
