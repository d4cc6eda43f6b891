"""The win rate at equal length: a regression of the judge's preference on the difference of the answers' lengths.

It is the plainest of the models of AlpacaEval 2's length control (Dubois et al., arXiv 2404.04475, without the
difficulty of instructions, which is known for one judge and one baseline only), fitted to the verdicts of one match.

Shapes: N questions, B resamples.
"""

import numpy as np
from scipy.special import expit

from judges.intervals.bootstrap import MAX_UNDEFINED, Estimate, Floats, estimate

NAME = "win rate at equal length"
STEPS = 25
CLOSE = 1e-8
NUMBERS_AT_ONCE = 2_000_000
"""Resamples times questions that are fitted together, in 16 MB for each of a few arrays."""


def at_equal_length(preferences_N: Floats, longer_by_N: Floats, weights_BN: Floats) -> Estimate:
    """Return sigmoid(c) of the model preference = sigmoid(c + b tanh(d / s)), with its interval over questions.

    `longer_by_N` is d, by how many characters the first model's answer is longer. s is its standard deviation. It is
    undefined if all d are equal, or if the coefficients have no finite maximum of likelihood, as when the longer answer
    always wins by a text judge. A rate without an interval is undefined too. The note is the reason.
    """
    known = np.isfinite(preferences_N)
    n = int(known.sum())
    if n == 0:
        return _missing(n, "there is no verdict")
    spread = float(np.std(longer_by_N[known]))
    if spread == 0.0:
        return _missing(n, "the answers differ in length by the same everywhere")
    lengths_N = np.tanh(longer_by_N[known] / spread)
    value = _rates(preferences_N[known], lengths_N, np.ones((1, n)))[0]
    if not np.isfinite(value):
        return _missing(n, "length and preference cannot be told apart: the fit has no finite coefficients")
    parts = np.array_split(weights_BN, max(1, weights_BN.size // NUMBERS_AT_ONCE))
    rates_B = np.concatenate([_rates(preferences_N[known], lengths_N, part[:, known]) for part in parts])
    found = estimate(NAME, float(value), rates_B, n)
    if found.low is not None:
        return found
    n_undefined = int((~np.isfinite(rates_B)).sum())
    if n_undefined > MAX_UNDEFINED * len(rates_B):
        return _missing(n, f"{n_undefined} of {len(rates_B)} resamples have no finite fit, so it has no interval")
    return _missing(n, "all resamples give the same rate, so it has no interval")


def _missing(n: int, reason: str) -> Estimate:
    return Estimate(NAME, None, None, None, n, reason)


def _rates(preferences_N: Floats, lengths_N: Floats, weights_BN: Floats) -> Floats:
    """Return sigmoid(c) of each resample, (B,), by Newton's method. NaN if the method does not converge."""
    c_B, b_B = np.zeros(len(weights_BN)), np.zeros(len(weights_BN))
    step_B = np.full(len(weights_BN), np.inf)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        for _ in range(STEPS):
            share_BN = expit(c_B[:, None] + b_B[:, None] * lengths_N)
            pull_BN = weights_BN * (preferences_N - share_BN)
            bend_BN = weights_BN * share_BN * (1 - share_BN)
            up_c_B, up_b_B = pull_BN.sum(1), pull_BN @ lengths_N
            cc_B, cb_B, bb_B = bend_BN.sum(1), bend_BN @ lengths_N, bend_BN @ lengths_N**2
            determinant_B = cc_B * bb_B - cb_B**2
            step_c_B = (bb_B * up_c_B - cb_B * up_b_B) / determinant_B
            step_b_B = (cc_B * up_b_B - cb_B * up_c_B) / determinant_B
            c_B, b_B = c_B + step_c_B, b_B + step_b_B
            step_B = np.maximum(np.abs(step_c_B), np.abs(step_b_B))
            if (step_B < CLOSE).all():
                break
    # towards infinity, where no finite coefficients fit best, each step is as long as the last
    rates_B: Floats = np.where(step_B < CLOSE, expit(c_B), np.nan)
    return rates_B
