"""A judge's biases as effect sizes: preferences beyond those of the labels."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from judges.audit.arrays import PairArrays, ScoreArrays
from judges.intervals import statistics
from judges.intervals.bootstrap import Estimate, Floats, estimate, mean_of, proportion_of

STYLES: dict[str, re.Pattern[str]] = {
    "lists": re.compile(r"^\s*(?:[-*+•]|\d+[.)])\s+", re.MULTILINE),
    "headings": re.compile(r"^#{1,6}\s", re.MULTILINE),
    "bold": re.compile(r"\*\*[^*\n]+\*\*|__[^_\n]+__"),
    "exclamation marks": re.compile(r"!"),
}
"""Patterns that are counted in an answer's text."""
FLIPS = "position: flip rate"


@dataclass(frozen=True)
class Bias:
    """An effect, and the two rates whose difference it is."""

    effect: Estimate
    judge: float | None = None
    """The judge's rate."""
    against: float | None = None
    """The reference rate: that of the labels, or one half."""


def pair_biases(rows: PairArrays, own_model: str | None) -> list[Bias]:
    """Return all biases on pairs. An effect is None if no row can show it."""
    longer_N = np.sign(rows.longer)
    styles = [net_preference(f"style: {name}", rows, _more_of(rows, pattern)) for name, pattern in STYLES.items()]
    return [
        *position_biases(rows),
        net_preference("length: prefers the longer", rows, longer_N),
        _verbosity(rows, longer_N),
        _length_correlation(rows.human, rows.grade, rows.longer, rows.weights),
        _self_preference(rows, own_model),
        *styles,
    ]


def score_biases(rows: ScoreArrays) -> list[Bias]:
    """Return the bias of scores: their correlation with length at a fixed label."""
    return [_length_correlation(rows.human, rows.judge, rows.length, rows.weights)]


def position_biases(rows: PairArrays) -> list[Bias]:
    """Return the share of pairs whose verdict changes with the order, and the preference for the first place.

    The second is P(first shown is preferred) - 1/2 over both orders, a tie counting half (arXiv 2306.05685, section
    3.3). Pairs judged in one order, or scored one by one, are skipped.
    """
    flips, firsts = [], []
    for verdict in rows.verdicts:
        first, second = verdict.first_order, verdict.second_order
        if first is None or second is None:
            flips.append(np.nan)
            firsts.append(np.nan)
            continue
        flips.append(float(first != second))
        # In the second order b is shown first.
        firsts.append(({"a": 1, "tie": 0.5, "b": 0}[first] + {"b": 1, "tie": 0.5, "a": 0}[second]) / 2)
    firsts_N = np.array(firsts, dtype=float)
    flip = proportion_of(FLIPS, np.array(flips, dtype=float), rows.weights)
    effect = proportion_of("position: prefers the first shown", firsts_N, rows.weights, less=0.5)
    if flip.value is None:
        return [Bias(flip), Bias(effect)]
    return [Bias(flip, flip.value, 0.0), Bias(effect, float(np.nanmean(firsts_N)), 0.5)]


def net_preference(name: str, rows: PairArrays, sign_N: Floats) -> Bias:
    """Return P(judge prefers the side with more) - P(label prefers it), a tie counting half on both sides.

    `sign_N` is 1 if b has more of the feature, -1 if a has more, 0 or NaN if they are equal or it is unknown.
    """
    usable_N = rows.scored & np.isfinite(sign_N) & (np.nan_to_num(sign_N) != 0)
    # 1 if the side with more is preferred, 0.5 for a tie, 0 for the other side.
    judge_N = np.where(usable_N, (1 + sign_N * rows.judge) / 2, np.nan)
    label_N = np.where(usable_N, (1 + sign_N * rows.human) / 2, np.nan)
    effect = mean_of(name, judge_N - label_N, rows.weights)
    if effect.value is None:
        return Bias(effect)
    return Bias(effect, float(np.nanmean(judge_N)), float(np.nanmean(label_N)))


def _verbosity(rows: PairArrays, longer_N: Floats) -> Bias:
    """Return the rate of preferring the longer answer when the label is a tie or the shorter one.

    Its counterpart is the rate of preferring the shorter answer when the label is a tie or the longer one.
    """
    usable_N = rows.scored & np.isfinite(longer_N) & (np.nan_to_num(longer_N) != 0)
    toward_N = longer_N * rows.human
    over_N = np.where(usable_N & (toward_N <= 0), (longer_N * rows.judge > 0).astype(float), np.nan)
    under_N = np.where(usable_N & (toward_N >= 0), (longer_N * rows.judge < 0).astype(float), np.nan)
    effect = mean_of("verbosity: the longer against the label", over_N, rows.weights)
    mirror = float(np.nanmean(under_N)) if np.isfinite(under_N).any() else None
    return Bias(effect, effect.value, mirror)


def _self_preference(rows: PairArrays, own_model: str | None) -> Bias:
    """Return the judge's preference for its own model's answers, minus that of the labels."""
    name = "self: prefers its own model"
    if own_model is None:
        return Bias(Estimate(name, None, None, None, 0, "the judge's own model is not known; give --own-model"))
    own_N = np.array([float(p.model_b == own_model) - float(p.model_a == own_model) for p in rows.pairs])
    if not own_N.any():
        return Bias(Estimate(name, None, None, None, 0, f"no pair has one answer by {own_model}"))
    return net_preference(name, rows, own_N)


def _more_of(rows: PairArrays, pattern: re.Pattern[str]) -> Floats:
    def count(text: str) -> int:
        return len(pattern.findall(text))

    return np.array([np.sign(count(p.response_b) - count(p.response_a)) for p in rows.pairs], dtype=float)


def _length_correlation(human_N: Floats, judge_N: Floats, length_N: Floats, weights_BN: Floats) -> Bias:
    """Return the partial Spearman correlation of the judge's score and the length at a fixed label.

    On pairs it correlates the judge's preference for b with the difference of the lengths. The two rates beside it are
    the plain correlations with length of the judge and of the label.
    """
    name = "length: correlation net of the label"
    keep_N = np.isfinite(judge_N) & np.isfinite(length_N)
    human_N, judge_N, length_N, weights_BN = human_N[keep_N], judge_N[keep_N], length_N[keep_N], weights_BN[:, keep_N]
    n = len(human_N)
    if n < 4 or min(np.ptp(human_N), np.ptp(judge_N), np.ptp(length_N)) == 0:
        return Bias(Estimate(name, None, None, None, n))

    def correlated(weights: Floats) -> tuple[Floats, Floats, Floats]:
        judge, human, length = (statistics.mid_ranks(v, weights) for v in (judge_N, human_N, length_N))
        pearsons: Callable[[Floats, Floats, Floats], Floats] = statistics.pearsons
        return pearsons(judge, length, weights), pearsons(judge, human, weights), pearsons(length, human, weights)

    at_hand = correlated(np.ones((1, n)))
    value = float(statistics.partial(*at_hand)[0])
    effect = estimate(name, value, statistics.partial(*correlated(weights_BN)), n)
    return Bias(effect, float(at_hand[0][0]), float(at_hand[2][0]))
