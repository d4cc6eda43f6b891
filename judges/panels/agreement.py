"""Compares the verdicts of several judges on one row."""

from collections.abc import Callable, Sequence
from itertools import combinations, pairwise
from statistics import fmean
from typing import Literal, TypeVar

from judges.rubrics.rubric import Rubric

T = TypeVar("T")
Level = Literal["nominal", "ordinal", "interval"]
"""nominal is for winners (as numbers), ordinal for scores, interval for expected scores."""


def share_of_pairs(verdicts: Sequence[T], same: Callable[[T, T], bool]) -> float | None:
    """Return the share of pairs of judges that agree, or None for fewer than two verdicts."""
    pairs = [same(first, second) for first, second in combinations(verdicts, 2)]
    return fmean(pairs) if pairs else None


def closer_than(distance: float) -> Callable[[float, float], bool]:
    """Return a function that tells whether two scores differ by less than `distance`."""
    return lambda first, second: abs(first - second) < distance - 1e-9  # 0.35 - 0.1 is a little less than 0.25


def step_of(rubric: Rubric) -> float:
    """Return the smallest distance between two verdicts. Scores closer than half of it count as the same."""
    values = sorted(set(rubric.values.values() if rubric.values else rubric.choice_values))
    return min(high - low for low, high in pairwise(values))
