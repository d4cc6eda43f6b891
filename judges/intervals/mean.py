"""A mean over seeds with its interval, and its text."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev

CONFIDENCE = 0.95
MANY = 10_000
"""Degrees of freedom from which scipy, which takes 30 MiB, is not asked."""


@dataclass(frozen=True)
class Mean:
    """A mean over seeds with half of its 95% interval (Student's t). The half is None for a single seed."""

    value: float
    half: float | None
    n: int

    def text(self, digits: int, *, sign: bool = False, tiny: bool = False) -> str:
        """Return `2.31 ± 0.05`. With `tiny`, values below the digits become `1.2e-05 ± 3e-06`."""
        is_tiny = tiny and 0 < abs(self.value) < 10**-digits
        value = f"{self.value:{'+' if sign else ''}{'.1e' if is_tiny else f'.{digits}f'}}"
        return value if self.half is None else f"{value} ± {self.half:{'.0e' if is_tiny else f'.{digits}f'}}"


def mean_of(values: Sequence[float]) -> Mean:
    """Return the mean of one value per seed, at least one, with its interval."""
    n = len(values)
    return Mean(fmean(values), half_width(stdev(values), n) if n > 1 else None, n)


def half_width(deviation: float, n: int) -> float:
    """Return half of Student's 95% interval of the mean of `n` values, at least two, with this standard deviation."""
    return _quantile(n - 1) * deviation / math.sqrt(n)


def _quantile(freedom: int) -> float:
    """Return the quantile of Student's t with so many degrees of freedom."""
    if freedom >= MANY:
        # The expansion around the normal quantile (Abramowitz and Stegun, 26.7.5), here exact to the last digits.
        z, v = NormalDist().inv_cdf((1 + CONFIDENCE) / 2), freedom
        second, third = 5 * z**5 + 16 * z**3 + 3 * z, 3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z
        return z + (z**3 + z) / (4 * v) + second / (96 * v**2) + third / (384 * v**3)
    # Here, because reading verdicts needs none of it. It is what scipy.stats asks, which takes 46 MiB more.
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))


def mean_of_known(values: Sequence[float | None]) -> Mean | None:
    """Return the mean of the known values with its interval, or None without any."""
    known = [value for value in values if value is not None]
    return mean_of(known) if known else None
