"""Measures of how scores order answers that people ranked (Self-Rewarding, arXiv 2401.10020, section 3.1).

Shapes: N rows of a measure (pairs, prompts or answers), B resamples.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import factorial, prod
from typing import Literal

import numpy as np
from scipy import stats

from judges.intervals.bootstrap import Estimate, Floats, difference, mean_of, proportion_of, resampled
from judges.labelled.ranked import RankedAnswers, opening_of, ordered_pairs

Unscored = Literal["wrong", "left out"]
"""The effect of an answer without a score: its pairs count as wrong, or are left out."""
NAN = float("nan")
TIE_WRONG, TIE_HALF, TIES = "pairwise accuracy, a tie is wrong", "pairwise accuracy, a tie is half", "tie rate"
BEST, EXACT = "the highest-scored answer is ranked best", "exact match"
SPEARMAN, KENDALL = "Spearman, mean over prompts", "Kendall tau-b, mean over prompts"

Scores = Sequence[float | None]


@dataclass(frozen=True)
class Prompt:
    """One prompt's ranking by people."""

    group: str
    """The tree of the prompt. Prompts of one tree are resampled together."""
    ranks: tuple[int, ...]
    pairs: tuple[tuple[int, int], ...]
    """The places of every two answers that people ordered, the better one first."""


@dataclass(frozen=True)
class Values:
    """A measure's value on each of its rows, (N,), or NaN for a row without one."""

    name: str
    values: Floats
    groups: Sequence[str]
    is_share: bool = False
    """Each value is the share in which the judge is right, 0 to 1."""

    def estimate(self, n_resamples: int, seed: int) -> Estimate:
        """Return the mean with its interval over resampled trees."""
        of = proportion_of if self.is_share else mean_of
        return of(self.name, self.values, resampled(self.groups, n_resamples, seed))

    def less(self, other: "Values", n_resamples: int, seed: int) -> Estimate:
        """Return this mean less that of `other`, both over the same resampled rows."""
        # NaN everywhere, as if no answer has the top score
        both = np.isfinite(self.values).any() and np.isfinite(other.values).any()
        if not both:
            return Estimate(self.name, None, None, None, 0)
        return difference(self.name, self.values, other.values, resampled(self.groups, n_resamples, seed))


def prompts_of(ranked: Sequence[RankedAnswers]) -> list[Prompt]:
    """Return the people's ranking of each prompt's answers."""
    return [Prompt(opening_of(answers), tuple(answers.ranks), tuple(ordered_pairs(answers))) for answers in ranked]


def measures(
    prompts: Sequence[Prompt], scores: Sequence[Scores], top: float | None, unscored: Unscored
) -> list[Values]:
    """Return the measures of the scores of each prompt's answers. `top` is the best possible score, if known.

    - Pairwise accuracy: the share of pairs that people ordered and the scores order alike. Pairs that people tied do
      not count.
    - 5-best (named after `top`): of the answers with the top score, the share that people ranked best. Expected scores
      hardly ever reach the top score. For them there is the share of prompts whose highest-scored answer people ranked
      best. If several answers share the highest score, the share of them that people ranked best.
    - Exact match: the share of prompts with no tied or wrong pair.
    - Correlations: 0 for a prompt whose answers all have one score.

    If an answer has no score, `wrong` counts its pairs as wrong, its prompt as no match and its correlations as 0.
    `left out` leaves out the pair and, for measures of a whole prompt, the prompt.
    """
    pairs = [(prompt, scored[i], scored[j]) for prompt, scored in _both(prompts, scores) for i, j in prompt.pairs]
    missing = 0.0 if unscored == "wrong" else NAN
    groups = [prompt.group for prompt, _, _ in pairs]
    right = [_right(high, low, 0.0, missing) for _, high, low in pairs]
    half = [_right(high, low, 0.5, missing) for _, high, low in pairs]
    ties = [NAN if high is None or low is None else float(high == low) for _, high, low in pairs]
    values = [
        Values(TIE_WRONG, np.array(right), groups, is_share=True),
        Values(TIE_HALF, np.array(half), groups, is_share=True),
        Values(TIES, np.array(ties), groups, is_share=True),
    ]
    if top is not None:
        values.append(_with_top_score(prompts, scores, top))
    for name, value_of in ((BEST, _best), (EXACT, _exact), (SPEARMAN, _spearman), (KENDALL, _kendall)):
        values.append(_by_prompt(name, prompts, scores, value_of, missing))
    return values


def at_random(prompts: Sequence[Prompt], top: float | None) -> list[Values]:
    """Return the expected measures of random scores."""
    groups = [prompt.group for prompt in prompts for _ in prompt.pairs]
    half = np.full(len(groups), 0.5)  # random scores hardly ever tie
    tied = Values(TIES, np.zeros(len(groups)), groups)
    values = [Values(TIE_WRONG, half, groups), Values(TIE_HALF, half, groups), tied]
    # any answer is as likely to get the top score as any other, so the expected share is the share of best ones
    best = [[float(rank == min(prompt.ranks)) for rank in prompt.ranks] for prompt in prompts]
    if top is not None:
        owners = [prompt.group for prompt in prompts for _ in prompt.ranks]
        values.append(Values(top_name(top), np.concatenate(best), owners))
    trees = [prompt.group for prompt in prompts]
    nothing = np.zeros(len(prompts))  # the expected correlation
    return [
        *values,
        Values(BEST, np.array([np.mean(shares) for shares in best]), trees),
        Values(EXACT, np.array([_orders_that_match(prompt) for prompt in prompts]), trees),
        Values(SPEARMAN, nothing, trees),
        Values(KENDALL, nothing, trees),
    ]


def top_name(top: float) -> str:
    """Return the name of the measure of the answers with the best score."""
    return f"{top:g}-best"


def n_unscored(scores: Sequence[Scores]) -> int:
    """Return how many answers have no score."""
    return sum(score is None for scored in scores for score in scored)


def _both(prompts: Sequence[Prompt], scores: Sequence[Scores]) -> "zip[tuple[Prompt, Scores]]":
    return zip(prompts, scores, strict=True)


def _right(high: float | None, low: float | None, tie: float, missing: float) -> float:
    if high is None or low is None:
        return missing
    return tie if high == low else float(high > low)


def _with_top_score(prompts: Sequence[Prompt], scores: Sequence[Scores], top: float) -> Values:
    """Return 1 for each answer with the top score that people ranked best, 0 for one they did not, else NaN."""
    rows = [
        (prompt.group, float(rank == min(prompt.ranks)) if score is not None and score >= top else NAN)
        for prompt, scored in _both(prompts, scores)
        for rank, score in zip(prompt.ranks, scored, strict=True)
    ]
    return Values(top_name(top), np.array([value for _, value in rows]), [group for group, _ in rows], is_share=True)


def _by_prompt(
    name: str,
    prompts: Sequence[Prompt],
    scores: Sequence[Scores],
    value_of: Callable[[Prompt, Sequence[float]], float],
    missing: float,
) -> Values:
    values = []
    for prompt, scored in _both(prompts, scores):
        known = [score for score in scored if score is not None]
        values.append(value_of(prompt, known) if len(known) == len(scored) else missing)  # whole prompts only
    groups = [prompt.group for prompt in prompts]
    return Values(name, np.array(values), groups, is_share=name in (BEST, EXACT))


def _best(prompt: Prompt, scores: Sequence[float]) -> float:
    highest = [rank for rank, score in zip(prompt.ranks, scores, strict=True) if score == max(scores)]
    return highest.count(min(prompt.ranks)) / len(highest)


def _exact(prompt: Prompt, scores: Sequence[float]) -> float:
    return float(all(scores[better] > scores[worse] for better, worse in prompt.pairs))


def _spearman(prompt: Prompt, scores: Sequence[float]) -> float:
    # minus, because rank 1 is the best and has the highest score
    return 0.0 if len(set(scores)) == 1 else -float(stats.spearmanr(prompt.ranks, scores).statistic)


def _kendall(prompt: Prompt, scores: Sequence[float]) -> float:
    return 0.0 if len(set(scores)) == 1 else -float(stats.kendalltau(prompt.ranks, scores).statistic)


def _orders_that_match(prompt: Prompt) -> float:
    """Return the share of all orders of the answers that agree with the people's, whose ties allow several."""
    return prod(factorial(n) for n in Counter(prompt.ranks).values()) / factorial(len(prompt.ranks))
