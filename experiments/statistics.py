"""What the results of several seeds come to."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Mean:
    """A mean over seeds with half of its 95% interval (Student's t); the half is None for a single seed."""

    value: float
    half: float | None
    n: int

    def text(self, digits: int, *, sign: bool = False) -> str:
        """Return `2.31 ± 0.05`."""
        value = f"{self.value:{'+' if sign else ''}.{digits}f}"
        return value if self.half is None else f"{value} ± {self.half:.{digits}f}"


def mean_of(values: Sequence[float | None]) -> Mean | None:
    """Return the mean of the values that there are with its interval, or None where there is none."""
    from scipy import stats

    known = [value for value in values if value is not None]
    if not known:
        return None
    n = len(known)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)) * stdev(known) / math.sqrt(n) if n > 1 else None
    return Mean(fmean(known), half, n)
