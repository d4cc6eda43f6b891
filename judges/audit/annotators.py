"""How far those who gave the labels agree with each other."""

from collections.abc import Sequence
from itertools import combinations
from typing import Literal

import numpy as np

from judges.intervals.bootstrap import Estimate, Floats, estimate, proportion_of
from judges.labelled.labels import CODE, LabelledPair, LabelledScore

Level = Literal["nominal", "interval"]
PAIRWISE = "annotators: pairwise agreement"
ALPHA = "annotators: Krippendorff's alpha"
MAX_ALPHA_RESAMPLES = 200
"""Alpha is computed resample by resample, some milliseconds each."""


def annotator_measures(rows: Sequence[LabelledPair] | Sequence[LabelledScore], weights_BN: Floats) -> list[Estimate]:
    """Return the mean share of pairs of annotators of a row who agree, and Krippendorff's alpha.

    Alpha is nominal for labels, interval for scores. Empty where no row has two annotators.
    """
    votes = [_numbers(row) for row in rows]
    if not any(len(own) > 1 for own in votes):
        return []
    shares = [_agreement(own) for own in votes]
    n_most = max(map(len, votes))
    matrix_AN = np.array([[own[a] if a < len(own) else np.nan for own in votes] for a in range(n_most)])
    level: Level = "nominal" if isinstance(rows[0], LabelledPair) else "interval"
    n_several = sum(len(own) > 1 for own in votes)
    some_BN = weights_BN[:MAX_ALPHA_RESAMPLES]
    values_B = np.array([_alpha(np.repeat(matrix_AN, weights_N.astype(int), axis=1), level) for weights_N in some_BN])
    alpha = estimate(ALPHA, _alpha(matrix_AN, level), values_B, n_several, level)
    return [proportion_of(PAIRWISE, np.array(shares), weights_BN), alpha]


def _numbers(row: LabelledPair | LabelledScore) -> list[float]:
    if isinstance(row, LabelledPair):
        return [float(CODE[label]) for label in row.annotators]
    return list(row.annotators)


def _agreement(own: Sequence[float]) -> float:
    pairs = list(combinations(own, 2))
    return sum(x == y for x, y in pairs) / len(pairs) if pairs else float("nan")


def _alpha(matrix_AN: Floats, level: Level) -> float:
    import krippendorff

    known = matrix_AN[np.isfinite(matrix_AN)]
    if len(np.unique(known)) < 2:  # nobody ever says anything else: there is nothing to agree on
        return float("nan")
    return float(krippendorff.alpha(reliability_data=matrix_AN, level_of_measurement=level))
