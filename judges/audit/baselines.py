"""Baselines that a judge must beat: chance, the commonest label, the longer answer, the likelier answer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engines.likelihood import likelihood_id
from judges.audit import agreement
from judges.audit.arrays import PairArrays, ScoreArrays
from judges.intervals import statistics
from judges.intervals.bootstrap import Estimate, Floats, difference, estimate, proportion_of

CHANCE, COMMONEST, LONGER, LIKELIER = "chance", "the commonest label", "the longer is better", "the likelier is better"


@dataclass(frozen=True)
class Baseline:
    """A rule that ignores the content, on the rows that the judge scored."""

    name: str
    measure: Estimate
    """Its accuracy on pairs with a preference, a tie counting half. For scores, Spearman's correlation."""
    exact: Estimate | None
    """Its accuracy over all classes of the labels."""
    lead: Estimate
    """The judge's measure minus the rule's."""


def pair_baselines(rows: PairArrays, likelihoods: Mapping[str, float | None] | None) -> list[Baseline]:
    """Return the baselines on the pairs that the judge scored. `likelihoods` is keyed by `likelihood_id`."""
    rows = rows.only(rows.scored)
    if not rows.pairs:
        return []
    decided_N = rows.human != 0
    n_classes = 3 if rows.has_ties else 2
    judge_N = _half_right(rows.judge, rows.human, decided_N)
    labels, counts = np.unique(rows.human, return_counts=True)
    n = int(decided_N.sum())
    baselines = []
    for name, guess_N in _guesses(rows, labels[counts.argmax()], likelihoods):
        half_N = _half_right(guess_N, rows.human, decided_N)
        exact_N = np.where(np.isfinite(guess_N), (guess_N == rows.human).astype(float), np.nan)
        both_N = np.where(np.isfinite(half_N), judge_N, np.nan)  # the judge, where the rule says something
        baselines.append(
            Baseline(
                name,
                proportion_of(name, half_N, rows.weights),
                proportion_of(name, exact_N, rows.weights),
                difference(name, both_N, half_N, rows.weights)
                if np.isfinite(half_N).any()
                else Estimate(name, None, None, None, 0),
            )
        )
    lead = proportion_of(CHANCE, judge_N, rows.weights, less=0.5)
    exact = Estimate(CHANCE, 1 / n_classes, None, None, len(rows.pairs))
    return [Baseline(CHANCE, Estimate(CHANCE, 0.5, None, None, n), exact, lead), *baselines]


def score_baselines(rows: ScoreArrays, likelihoods: Mapping[str, float | None] | None) -> list[Baseline]:
    """Return the baselines of Spearman's correlation with the label."""
    rules: dict[str, Floats] = {LONGER: rows.length}
    if likelihoods is not None:
        rules[LIKELIER] = _looked_up(likelihoods, [likelihood_id(item.prompt, item.response) for item in rows.items])
    baselines = []
    for name, rule_N in rules.items():
        keep_N = rows.scored & np.isfinite(rule_N)
        human_N, judge_N, rule_N = rows.human[keep_N], rows.judge[keep_N], rule_N[keep_N]
        weights_BN = rows.weights[:, keep_N]
        judge = agreement.correlations(human_N, judge_N, weights_BN)[0]
        rule = agreement.correlations(human_N, rule_N, weights_BN)[0]
        lead = Estimate(name, None, None, None, rule.n)
        if judge.value is not None and rule.value is not None:
            ahead_B = statistics.spearmans(human_N, judge_N, weights_BN) - statistics.spearmans(
                human_N, rule_N, weights_BN
            )
            lead = estimate(name, judge.value - rule.value, ahead_B, rule.n)
        baselines.append(Baseline(name, rule, None, lead))
    return baselines


def _guesses(
    rows: PairArrays, commonest: float, likelihoods: Mapping[str, float | None] | None
) -> Iterator[tuple[str, Floats]]:
    yield COMMONEST, np.full(len(rows.pairs), float(commonest))
    yield LONGER, np.sign(rows.longer)
    if likelihoods is not None:
        a_N, b_N = (
            _looked_up(likelihoods, [likelihood_id(pair.prompt, getattr(pair, name)) for pair in rows.pairs])
            for name in ("response_a", "response_b")
        )
        yield LIKELIER, np.sign(b_N - a_N)


def _half_right(guess_N: Floats, human_N: Floats, decided_N: Floats) -> Floats:
    right_N = np.where(guess_N == 0, 0.5, (guess_N == human_N).astype(float))
    half_N: Floats = np.where(decided_N & np.isfinite(guess_N), right_N, np.nan)
    return half_N


def _looked_up(likelihoods: Mapping[str, float | None], ids: Sequence[str]) -> Floats:
    values = [likelihoods.get(row_id) for row_id in ids]
    return np.array([np.nan if value is None else value for value in values], dtype=float)
