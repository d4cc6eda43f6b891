"""A mean over seeds with its interval, and its text."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

CONFIDENCE = 0.95


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
    # Here, because reading verdicts needs none of it. It is what scipy.stats asks, which takes 46 MiB more.
    from scipy.special import stdtrit

    return float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * deviation / math.sqrt(n)


def mean_of_known(values: Sequence[float | None]) -> Mean | None:
    """Return the mean of the known values with its interval, or None without any."""
    known = [value for value in values if value is not None]
    return mean_of(known) if known else None
