"""Agreement of the annotators with each other."""

from collections.abc import Sequence
from itertools import combinations
from typing import Literal

import krippendorff
import numpy as np

from judges.intervals.bootstrap import Estimate, Floats, estimate, proportion_of
from judges.labelled.labels import CODE, LabelledPair, LabelledScore

Level = Literal["nominal", "interval"]
PAIRWISE = "annotators: pairwise agreement"
ALPHA = "annotators: Krippendorff's alpha"
MAX_ALPHA_RESAMPLES = 200
"""Alpha is computed one resample at a time, at some milliseconds each."""


def annotator_measures(rows: Sequence[LabelledPair] | Sequence[LabelledScore], weights_BN: Floats) -> list[Estimate]:
    """Return the mean share of agreeing pairs of annotators per row, and Krippendorff's alpha.

    Alpha is nominal for labels and interval for scores. The list is empty if no row has two annotators.
    """
    votes = [_numbers(labelled) for labelled in rows]
    if not any(len(labels) > 1 for labels in votes):
        return []
    shares = [_agreement(labels) for labels in votes]
    n_most = max(map(len, votes))
    matrix_AN = np.array([[labels[a] if a < len(labels) else np.nan for labels in votes] for a in range(n_most)])
    level: Level = "nominal" if isinstance(rows[0], LabelledPair) else "interval"
    n_several = sum(len(labels) > 1 for labels in votes)
    some_BN = weights_BN[:MAX_ALPHA_RESAMPLES]
    # krippendorff takes no weights, so a resample is made of as many copies of each row.
    values_B = np.array([_alpha(np.repeat(matrix_AN, weights_N.astype(int), axis=1), level) for weights_N in some_BN])
    alpha = estimate(ALPHA, _alpha(matrix_AN, level), values_B, n_several, level)
    return [proportion_of(PAIRWISE, np.array(shares), weights_BN), alpha]


def _numbers(row: LabelledPair | LabelledScore) -> list[float]:
    if isinstance(row, LabelledPair):
        return [float(CODE[label]) for label in row.annotators]
    return list(row.annotators)


def _agreement(labels: Sequence[float]) -> float:
    pairs = list(combinations(labels, 2))
    return sum(x == y for x, y in pairs) / len(pairs) if pairs else float("nan")


def _alpha(matrix_AN: Floats, level: Level) -> float:
    paired_AN = matrix_AN[:, np.isfinite(matrix_AN).sum(0) > 1]  # alpha counts only rows with several labels
    if len(np.unique(paired_AN[np.isfinite(paired_AN)])) < 2:  # and is undefined if all labels are equal
        return float("nan")
    return float(krippendorff.alpha(reliability_data=paired_AN, level_of_measurement=level))
