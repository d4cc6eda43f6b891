"""The figures of two models and one judge by people's votes, with 95 % intervals over prompts."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evals.human.joining import Voted
from judges.audit.agreement import pair_measures
from judges.audit.annotators import annotator_measures
from judges.audit.arrays import PairArrays, pair_arrays
from judges.audit.correction import Correction, corrected_win_rate, unlabelled
from judges.intervals.bootstrap import Estimate, proportion_of
from judges.intervals.proportion import Z
from judges.labelled.labels import LabelledPair, Verdict
from records import Comparison
from records.rows import Winner

AGREEMENT = ("accuracy (a, b, tie)", "accuracy, a tie is half", "Cohen's kappa")


@dataclass(frozen=True)
class Figures:
    """Two models by the votes, and by one judge. Win rates are those of `second` over `first`, as shares."""

    first: str
    second: str
    judge: str
    """The judge's fingerprint."""
    n_prompts: int
    """Comparisons with a vote."""
    n_votes: int
    by_people: Estimate
    by_judge: Estimate
    """By the judge, on the comparisons with a vote."""
    by_judge_all: Estimate
    """By the judge, on all of its comparisons of the two."""
    corrected: Estimate
    """The same, corrected for the judge's errors on the comparisons with a vote (Rogan and Gladen 1978)."""
    with_each_other: list[Estimate]
    """The voters' agreement. Empty if no comparison has two votes."""
    with_judge: list[Estimate]
    """The judge's agreement with the majority of the votes."""
    n_more: int | None
    """Prompts to vote on until the interval of the win rate would leave out 50 %, if it stays as it is. 0 if it does
    already, None if nobody can tell."""


def figures_of(voted: Sequence[Voted], comparisons: Sequence[Comparison], n_resamples: int, seed: int) -> Figures:
    """Return the figures of the comparisons of two models by one judge. `voted` are those with votes, at least one."""
    compared = voted[0].comparison
    rows = _arrays(voted, n_resamples, seed)
    people_N = np.array([row.value for row in voted])
    people = proportion_of("win rate by people", people_N, rows.weights)
    every = [_verdict(row) for row in comparisons]
    test = unlabelled("all comparisons", every, [row.prompt_id for row in comparisons], n_resamples, seed)
    correction: Correction = corrected_win_rate(rows, test)
    measures = [measure for measure in pair_measures(rows) if measure.name in AGREEMENT]
    return Figures(
        first=compared.model_a,
        second=compared.model_b,
        judge=compared.judge,
        n_prompts=len(voted),
        n_votes=sum(len(row.votes) for row in voted),
        by_people=people,
        by_judge=proportion_of("win rate by the judge", (1 + rows.judge) / 2, rows.weights),
        by_judge_all=correction.judged,
        corrected=correction.corrected,
        with_each_other=annotator_measures(rows.pairs, rows.weights),
        with_judge=measures,
        n_more=n_more(people_N, people),
    )


def n_more(values_N: np.ndarray, rate: Estimate) -> int | None:
    """Return how many more prompts it would take until the interval leaves out a half. See `Figures.n_more`."""
    if rate.low is not None and rate.high is not None and not rate.low <= 0.5 <= rate.high:
        return 0
    distance, deviation = abs(float(values_N.mean()) - 0.5), float(values_N.std(ddof=1)) if len(values_N) > 1 else 0.0
    if distance == 0 or deviation == 0:
        return None
    return max(math.ceil((Z * deviation / distance) ** 2) - len(values_N), 1)


def majority(votes: Sequence[Winner]) -> Winner:
    """Return what most people say, a tie if no answer has more than the others."""
    counts = Counter(votes).most_common(2)
    return "tie" if len(counts) > 1 and counts[0][1] == counts[1][1] else counts[0][0]


def _arrays(voted: Sequence[Voted], n_resamples: int, seed: int) -> PairArrays:
    pairs = [
        LabelledPair(
            id=row.comparison.id,
            prompt=row.comparison.prompt,
            response_a=row.comparison.response_a,
            response_b=row.comparison.response_b,
            label=majority(list(row.votes.values())),
            group=row.comparison.prompt_id,
            annotators=tuple(row.votes.values()),
            model_a=row.comparison.model_a,
            model_b=row.comparison.model_b,
        )
        for row in voted
    ]
    return pair_arrays(pairs, [_verdict(row.comparison) for row in voted], n_resamples, seed)


def _verdict(row: Comparison) -> Verdict:
    return Verdict(row.winner, row.preference_b, None, row.first_order, row.second_order, row.error)
