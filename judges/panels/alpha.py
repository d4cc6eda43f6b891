"""Measures the agreement of several judges over all rows, with Krippendorff's alpha."""

from collections.abc import Sequence
from itertools import combinations

import krippendorff
import numpy as np
from numpy.typing import NDArray
from scipy.stats import pearsonr, rankdata, spearmanr

from console.table import Cell
from judges.panels.agreement import Level, closer_than

LIBRARY_CELLS = 25_000_000
"""The most numbers for the krippendorff library, which holds units x distinct values squared: 200 MB."""


def agreement_table(
    judgments_by_member: dict[str, Sequence[float | None]], level: Level, step: float = 0.0
) -> list[dict[str, Cell]]:
    """Return one table row per pair of judges and one for all of them. The values are aligned by unit.

    `units` counts the units on which both judges (of all: at least two) have a verdict. `same` is the share of equal
    verdicts among them (of all: among all pairs of verdicts on a unit). Scores are equal if they differ by less than
    half of `step`, or exactly if `step` is 0. `correlation` is Spearman's for ordinal values and Pearson's for interval
    ones. `alpha` is Krippendorff's. Each is None if it is not defined, such as without any variation.
    """
    values_MN = np.array(list(judgments_by_member.values()), dtype=float)  # None becomes NaN
    is_same = closer_than(step / 2) if step else float.__eq__
    table: list[dict[str, Cell]] = []
    n_same = n_pairs = 0
    for places in combinations(range(len(values_MN)), 2):
        both_2N = values_MN[list(places)]
        both_2N = both_2N[:, np.isfinite(both_2N).all(axis=0)]
        same = sum(map(is_same, *both_2N.tolist()))
        n_same, n_pairs = n_same + same, n_pairs + both_2N.shape[1]
        names = " and ".join(list(judgments_by_member)[place] for place in places)
        table.append({"judges": names, **_agreement(both_2N, same, both_2N.shape[1], level)})
    return [*table, {"judges": "all", **_agreement(values_MN, n_same, n_pairs, level)}]


def krippendorff_alpha(values_MN: NDArray[np.float64], level: Level) -> float | None:
    """Return Krippendorff's alpha of M judges on N units, or None if it is not defined. NaN stands for no verdict.

    1 - observed / expected disagreement over the units with at least two verdicts (Krippendorff, Content Analysis,
    chapter 11), by the krippendorff library. Expected scores are all distinct, which is too much for its memory.
    """
    values_MN = values_MN[:, np.isfinite(values_MN).sum(axis=0) >= 2]
    n_distinct = len(np.unique(values_MN[np.isfinite(values_MN)]))
    if n_distinct < 2:
        return None
    if values_MN.shape[1] * n_distinct**2 <= LIBRARY_CELLS:
        return float(krippendorff.alpha(reliability_data=values_MN, level_of_measurement=level))
    return alpha_of_many_values(values_MN, level)


def alpha_of_many_values(values_MN: NDArray[np.float64], level: Level) -> float:
    """Return the same from sums of squares, in memory for M x N numbers.

    Distances are squared differences of values (interval) or mid-ranks (ordinal), or half those of indicators
    (nominal).
    """
    judges_P, units_P = np.nonzero(np.isfinite(values_MN))
    values_P = values_MN[judges_P, units_P]
    if level == "nominal":
        points_PK = (values_P[:, None] == np.unique(values_P)).astype(float)
    else:
        points_PK = (rankdata(values_P) if level == "ordinal" else values_P)[:, None]
    points_PK = points_PK - points_PK.mean(axis=0)  # changes no distance, and keeps the squares small
    n_N = np.bincount(units_P)
    within_N = np.zeros(len(n_N))
    for points_P in points_PK.T:
        # The squared distances of all pairs in a unit add up to n times the squares around its mean.
        within_N += np.bincount(units_P, points_P**2) - np.bincount(units_P, points_P) ** 2 / n_N
    observed = (within_N * n_N / (n_N - 1)).sum() / n_N.sum()
    return float(1 - observed / ((points_PK**2).sum() / (n_N.sum() - 1)))


def _agreement(values_MN: NDArray[np.float64], n_same: int, n_pairs: int, level: Level) -> dict[str, Cell]:
    correlation = None
    if len(values_MN) == 2 and level != "nominal" and n_pairs > 2 and np.ptp(values_MN, axis=1).all():
        correlate = spearmanr if level == "ordinal" else pearsonr
        correlation = float(correlate(*values_MN).statistic)
    return {
        "units": int((np.isfinite(values_MN).sum(axis=0) >= 2).sum()),
        "same": n_same / n_pairs if n_pairs else None,
        "correlation": correlation,
        "alpha": krippendorff_alpha(values_MN, level),
    }
