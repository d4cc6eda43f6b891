"""The stored result of one arm with one seed, and what the results of several seeds come to."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from experiments.known_truth.arms import FULL
from experiments.known_truth.measure import Learnt, Measured
from records.rows import Row

CONFIDENCE = 0.95


class ArmResult(Row, frozen=True, kw_only=True):
    """One arm with one seed."""

    id: str
    arm: str
    seed: int
    measured: list[Measured]
    """M0 to M3."""
    learnt: list[Learnt]
    """The rounds to M2 and M3."""
    seconds: float


Value = Callable[[ArmResult], float | None]


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


def against_full(results: Sequence[ArmResult], arm: str, value: Value) -> Mean | None:
    """Return the mean difference of an arm to the whole loop, seed by seed."""
    full = {row.seed: value(row) for row in results if row.arm == FULL}
    differences: list[float | None] = []
    for row in results:
        mine, other = value(row), full.get(row.seed)
        if row.arm == arm and mine is not None and other is not None:
            differences.append(mine - other)
    return mean_of(differences)
