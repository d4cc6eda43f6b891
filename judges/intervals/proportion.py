"""The interval of a proportion near 0 or 1, for which equal rows leave resampling and Student's t without spread."""

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from judges.intervals.mean import mean_of

Z = 1.959963984540054
"""The 97.5th percentile of the normal distribution."""
NEAR = 5e-4
"""A share nearer than this to 0 or 1 is printed as 0 or 1."""
ALIKE = 1e-6
"""Values with a smaller standard deviation are equal up to rounding."""


def wilson(share: float, n: int) -> tuple[float, float]:
    """Return Wilson's 95% interval of a `share`, from 0 to 1, of `n` rows (Wilson 1927).

    It is wider than necessary for values between 0 and 1, such as ties that count half, because no values vary more
    than yes and no.
    """
    if n < 1 or not 0 <= share <= 1:
        raise ValueError(f"no share of {n} rows: {share}")
    middle = share + Z * Z / (2 * n)
    reach = Z * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    low, high = ((middle + side * reach) / (1 + Z * Z / n) for side in (-1, 1))
    # At the ends exactly 0 and 1, where the formula leaves a rounding error.
    return 0.0 if share == 0 else max(low, 0.0), 1.0 if share == 1 else min(high, 1.0)


def knows_nothing(share: float, deviation: float) -> bool:
    """Return whether an interval from values with this mean and standard deviation is meaningless."""
    return deviation < ALIKE or min(share, 1 - share) < NEAR


def percent_text(share: float, error: float | None, n: int) -> str:
    """Return `93.8 ± 5.9`, a share of `n` rows in percent with its interval, or `100.0 [80.6, 100.0]` at the ends.

    `error` is the standard error of the share, or None if unknown.
    """
    if error is not None and not knows_nothing(share, error * math.sqrt(max(n, 1))):
        return f"{100 * share:.1f} ± {100 * Z * error:.1f}"
    if n < 1:
        return f"{100 * share:.1f}"
    low, high = wilson(share, n)
    return f"{100 * share:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def percent_of(values: Sequence[float]) -> str | None:
    """Return the mean of values from 0 to 1, one per row, with its interval in percent, or None without values."""
    if not values:
        return None
    mean, deviation = fmean(values), stdev(values) if len(values) > 1 else 0.0
    if knows_nothing(mean, deviation):
        return percent_text(mean, None, len(values))
    return mean_of([100 * value for value in values]).text(1)
