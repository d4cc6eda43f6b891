"""The bootstrap over prompts: all resamples are computed at once, as weights on the rows.

Shapes: N rows, B resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from judges.intervals.proportion import wilson
from records.keys import derived_seed

Floats = NDArray[np.float64]
ALPHA = 0.05
MAX_UNDEFINED = 0.05
"""A measure that is undefined in a larger share of resamples gets no interval."""


@dataclass(frozen=True)
class Estimate:
    """A measure with its 95% percentile interval. None means undefined on these rows."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    """The number of rows behind it."""
    note: str = ""


def resampled(groups: Sequence[str], n_resamples: int, seed: int) -> Floats:
    """Return the count of each row in each resample, (B, N), with groups drawn with replacement.

    This is the cluster bootstrap (Davison and Hinkley 1997, section 3.8): rows that share a prompt stay together.
    """
    if not groups:
        return np.zeros((n_resamples, 0))
    names, inverse_N = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    generator = np.random.default_rng(derived_seed(seed, "bootstrap"))
    # How often each group is in a draw with replacement: no draw has to be made.
    drawn_BG = generator.multinomial(len(names), np.full(len(names), 1 / len(names)), size=n_resamples)
    return drawn_BG.astype(np.float64)[:, inverse_N]


def interval(values_B: Floats) -> tuple[float | None, float | None]:
    """Return the 2.5th and 97.5th percentile of the resamples' values.

    None if too many values are undefined, or if all are equal, because equal values say nothing about the error.
    """
    known = values_B[np.isfinite(values_B)]
    if len(known) == 0 or len(known) < (1 - MAX_UNDEFINED) * len(values_B) or np.ptp(known) < 1e-12:
        return None, None
    low, high = np.percentile(known, [100 * ALPHA / 2, 100 * (1 - ALPHA / 2)])
    return float(low), float(high)


def estimate(name: str, value: float | None, values_B: Floats, n: int, note: str = "") -> Estimate:
    """Return a measure with the interval of its resampled values. NaN counts as undefined."""
    if value is None or not np.isfinite(value):
        return Estimate(name, None, None, None, n, note)
    return Estimate(name, float(value), *interval(values_B), n, note)


def mean_of(name: str, values_N: Floats, weights_BN: Floats, note: str = "") -> Estimate:
    """Return the mean of the values that are not NaN."""
    known = np.isfinite(values_N)
    n = int(known.sum())
    if n == 0:
        return Estimate(name, None, None, None, 0, note)
    return estimate(name, float(values_N[known].mean()), means(values_N, weights_BN), n, note)


def proportion_of(name: str, values_N: Floats, weights_BN: Floats, note: str = "", less: float = 0.0) -> Estimate:
    """Return the mean of values from 0 to 1 that are not NaN, minus `less`, such as the judge's accuracy.

    If all values are equal, the resamples are too, and with few rows many resamples have none of them. The interval is
    then Wilson's with the number of prompts as n, because the rows of one prompt may be copies of each other.
    """
    mean = mean_of(name, values_N, weights_BN, note)
    if mean.value is None:
        return mean
    known = np.isfinite(values_N)
    low, high = mean.low, mean.high
    if low is None:
        low, high = wilson(min(max(mean.value, 0.0), 1.0), n_groups(weights_BN[:, known]))
    ends = (None if low is None else low - less, None if high is None else high - less)
    return Estimate(name, mean.value - less, *ends, mean.n, note)


def n_groups(weights_BN: Floats) -> int:
    """Return the number of groups. The rows of a group have equal counts in each resample."""
    return len({column_B.tobytes() for column_B in weights_BN.T})


def means(values_N: Floats, weights_BN: Floats) -> Floats:
    """Return the weighted mean of the values that are not NaN in each resample, (B,), or NaN without values."""
    known = np.isfinite(values_N)
    total_B = weights_BN[:, known].sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        means_B: Floats = weights_BN[:, known] @ values_N[known] / total_B
    return means_B


def difference(name: str, first_N: Floats, second_N: Floats, weights_BN: Floats) -> Estimate:
    """Return the mean of `first_N` minus that of `second_N`, resampled together."""
    value = float(np.nanmean(first_N) - np.nanmean(second_N))
    return estimate(
        name, value, means(first_N, weights_BN) - means(second_N, weights_BN), int(np.isfinite(first_N).sum())
    )
