"""Measures of agreement for many resamples at once. The value itself comes from scikit-learn or scipy.

Each takes weights (B, N), the count of a row in a resample, and returns (B,), NaN if undefined. Shapes: N rows, B
resamples, K classes.
"""

import numpy as np
from numpy.typing import NDArray

from judges.intervals.bootstrap import Floats

N_BINS = 10
MAX_KENDALL_ROWS = 4000
"""Kendall's tau compares every two rows. With more rows it gets no interval."""


def tables(truth_N: NDArray[np.intp], verdict_N: NDArray[np.intp], weights_BN: Floats, n_classes: int) -> Floats:
    """Return the confusion tables (B, K, K), truth down and verdict across."""
    # One column per cell of the table, so that one matrix product adds up the weights of all resamples.
    cells_NC = np.eye(n_classes * n_classes)[truth_N * n_classes + verdict_N]
    tables_BKK: Floats = (weights_BN @ cells_NC).reshape(-1, n_classes, n_classes)
    return tables_BKK


def kappas(tables_BKK: Floats, *, quadratic: bool) -> Floats:
    """Return Cohen's kappa, 1 - sum(w o) / sum(w e), o observed and e expected by chance (Cohen 1960, 1968)."""
    steps = np.arange(tables_BKK.shape[1])
    apart = np.abs(steps[:, None] - steps[None, :])
    weight_KK = apart**2 if quadratic else (apart > 0).astype(float)
    total_B = tables_BKK.sum((1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        expected_BKK = tables_BKK.sum(2)[:, :, None] * tables_BKK.sum(1)[:, None, :] / total_B[:, None, None]
        kappas_B: Floats = 1 - (weight_KK * tables_BKK).sum((1, 2)) / (weight_KK * expected_BKK).sum((1, 2))
    return kappas_B


def macro_prf(tables_BKK: Floats, classes: list[int]) -> Floats:
    """Return macro precision, recall and F1 over `classes`, (3, B). A class never predicted has precision 0."""
    right_BK = np.diagonal(tables_BKK, axis1=1, axis2=2)[:, classes]
    precision_BK = _ratio(right_BK, tables_BKK.sum(1)[:, classes])
    recall_BK = _ratio(right_BK, tables_BKK.sum(2)[:, classes])
    f1_BK = _ratio(2 * precision_BK * recall_BK, precision_BK + recall_BK)
    return np.stack([precision_BK.mean(1), recall_BK.mean(1), f1_BK.mean(1)])


def mid_ranks(values_N: Floats, weights_BN: Floats) -> Floats:
    """Return the rank of each row's value within each resample, (B, N). Equal values share the mean of their ranks."""
    counts_BU, inverse_N = _counts(values_N, weights_BN)
    ranks_BU = counts_BU.cumsum(1) - (counts_BU - 1) / 2  # the mean of the ranks that the equal values take up
    ranks_BN: Floats = ranks_BU[:, inverse_N]
    return ranks_BN


def pearsons(x: Floats, y: Floats, weights_BN: Floats) -> Floats:
    """Return the weighted correlation of x and y, each (N,) or (B, N)."""
    total_B1 = weights_BN.sum(1, keepdims=True)
    x, y = np.broadcast_to(x, weights_BN.shape), np.broadcast_to(y, weights_BN.shape)
    with np.errstate(invalid="ignore", divide="ignore"):
        x = x - (weights_BN * x).sum(1, keepdims=True) / total_B1
        y = y - (weights_BN * y).sum(1, keepdims=True) / total_B1
        spread_B = (weights_BN * x * x).sum(1) * (weights_BN * y * y).sum(1)
        spread_B = np.where(spread_B > 1e-18, spread_B, np.nan)  # a constant side has only rounding errors
        correlations_B: Floats = (weights_BN * x * y).sum(1) / np.sqrt(spread_B)
    return correlations_B


def spearmans(x_N: Floats, y_N: Floats, weights_BN: Floats) -> Floats:
    """Return Spearman's correlation: Pearson's of the ranks within each resample."""
    return pearsons(mid_ranks(x_N, weights_BN), mid_ranks(y_N, weights_BN), weights_BN)


def kendalls(x_N: Floats, y_N: Floats, weights_BN: Floats) -> Floats:
    """Return Kendall's tau-b, (concordant - discordant) / sqrt((n0 - n1)(n0 - n2)). NaN above MAX_KENDALL_ROWS."""
    if len(x_N) > MAX_KENDALL_ROWS:
        return np.full(len(weights_BN), np.nan)
    agreement_NN = np.sign(x_N[:, None] - x_N[None, :]) * np.sign(y_N[:, None] - y_N[None, :])
    difference_B = ((weights_BN @ agreement_NN) * weights_BN).sum(1) / 2  # each pair is in it twice
    untied_B = _untied_pairs(x_N, weights_BN) * _untied_pairs(y_N, weights_BN)
    with np.errstate(invalid="ignore", divide="ignore"):
        taus_B: Floats = difference_B / np.sqrt(np.where(untied_B > 0, untied_B, np.nan))
    return taus_B


def partial(xy_B: Floats, xz_B: Floats, yz_B: Floats) -> Floats:
    """Return the correlation of x and y with z held fixed, from the three plain ones."""
    with np.errstate(invalid="ignore", divide="ignore"):
        rest_B = (1 - xz_B**2) * (1 - yz_B**2)
        correlations_B: Floats = (xy_B - xz_B * yz_B) / np.sqrt(np.where(rest_B > 1e-12, rest_B, np.nan))
    return correlations_B


def bins_of(confidence_N: Floats) -> NDArray[np.intp]:
    """Return the bin of each confidence: ten of equal width from 0.5 to 1."""
    return np.clip(((confidence_N - 0.5) / 0.5 * N_BINS).astype(np.intp), 0, N_BINS - 1)


def calibration_errors(confidence_N: Floats, right_N: Floats, weights_BN: Floats) -> Floats:
    """Return the expected calibration error: the mean over rows of |accuracy - confidence| of a row's bin.

    Guo et al. 2017 (arXiv 1706.04599), equation 3, for two classes.
    """
    members_NM = np.eye(N_BINS)[bins_of(confidence_N)]
    # Sums, not means: the number of rows of a bin is also its weight in the error, and cancels.
    gap_BM = (weights_BN * (right_N - confidence_N)) @ members_NM
    with np.errstate(invalid="ignore"):  # of few rows a resample may have none
        errors_B: Floats = np.abs(gap_BM).sum(1) / weights_BN.sum(1)
    return errors_B


def _untied_pairs(values_N: Floats, weights_BN: Floats) -> Floats:
    counts_BU, _ = _counts(values_N, weights_BN)
    total_B = weights_BN.sum(1)
    pairs_B: Floats = (total_B * (total_B - 1) - (counts_BU * (counts_BU - 1)).sum(1)) / 2
    return pairs_B


def _counts(values_N: Floats, weights_BN: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """Return the count of each distinct value in each resample, (B, U), and each row's place among them."""
    # Equal values are neighbours in the sorted order, so each count is the sum over one stretch of it.
    _, first_U, inverse_N = np.unique(np.sort(values_N), return_index=True, return_inverse=True)
    order_N = np.argsort(values_N, kind="stable")
    places_N = np.empty_like(inverse_N)
    places_N[order_N] = inverse_N
    counts: Floats = np.add.reduceat(weights_BN[:, order_N], first_U, axis=1)
    return counts, places_N


def _ratio(above: Floats, below: Floats) -> Floats:
    ratios: Floats = np.divide(above, below, out=np.zeros_like(above, dtype=float), where=below > 0)
    return ratios
