"""Learns a calibration from labelled pairs: a logistic regression without an intercept, out of fold.

P(b is better) = 1 / (1 + exp(-sum_k v_k x_k)), v_k >= 0. x_k is the evidence for b: the difference of the expected
scores of criterion k, or the log-odds of the judge's preference. The weights are v_k / sum(v), the temperature is
1 / sum(v). The penalty is scikit-learn's with C = 1, on features of unit deviation. Shapes: N pairs, K features.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from scipy.optimize import minimize

from console.errors import JudgeError
from judges.intervals.bootstrap import Floats
from records.keys import derived_seed

NO_SIGNAL = 1e-6
"""Coefficients that sum to less than this say that no feature goes with the labels."""
USELESS = (
    "the judge's scores do not go with the labels at all, so no weights can be learned from them: try another judge or "
    "rubric"
)


@dataclass(frozen=True)
class Pairs:
    """Labelled pairs as numbers."""

    features: Floats
    """(N, K)."""
    labels: Floats
    """(N,): -1 for a, 0 for a tie, 1 for b."""
    groups: Sequence[str]
    """Pairs of one group share a prompt. They are in one fold."""

    def only(self, places: Sequence[int]) -> "Pairs":
        """Return the pairs at `places`."""
        return Pairs(self.features[places], self.labels[places], [self.groups[place] for place in places])


@dataclass(frozen=True)
class Learned:
    """Weights that sum to 1, the temperature, and the band of ties around 0.5."""

    weights: Floats
    """(K,)."""
    temperature: float
    tie: float

    def preferences(self, features_NK: Floats) -> Floats:
        """Return P(b is better), (N,)."""
        return _logistic(features_NK @ self.weights / self.temperature)

    def verdicts(self, preferences_N: Floats) -> Floats:
        """Return -1 for a, 0 for a tie, 1 for b."""
        return _verdicts(preferences_N, self.tie)


def learn(pairs: Pairs) -> Learned:
    """Return what the pairs teach. A pair labelled as a tie counts half for each side. Raises JudgeError if nothing."""
    deviations_K = np.sqrt((pairs.features**2).mean(0))
    scale_K = np.where(deviations_K > 0, deviations_K, 1.0)
    scaled_NK = pairs.features / scale_K
    targets_N = (pairs.labels + 1) / 2

    def loss(coefficients_K: Floats) -> tuple[float, Floats]:
        evidence_N = scaled_NK @ coefficients_K
        value = np.logaddexp(0, evidence_N).sum() - targets_N @ evidence_N + coefficients_K @ coefficients_K / 2
        return float(value), scaled_NK.T @ (_logistic(evidence_N) - targets_N) + coefficients_K

    n_features = pairs.features.shape[1]
    fit = minimize(loss, np.zeros(n_features), jac=True, method="L-BFGS-B", bounds=[(0, None)] * n_features)
    coefficients_K = np.where(deviations_K > 0, fit.x / scale_K, 0.0)
    total = float(coefficients_K.sum())
    if total < NO_SIGNAL:
        raise JudgeError(USELESS)
    weights_K = coefficients_K / total
    preferences_N = _logistic(pairs.features @ coefficients_K)
    return Learned(weights_K, 1 / total, _tie_band(preferences_N, pairs.labels))


def out_of_fold(pairs: Pairs, n_folds: int, seed: int) -> tuple[Floats, Floats]:
    """Return P(b is better) and the verdict on each pair, both (N,), as learned from the pairs of other folds.

    A fold from whose others nothing can be learned has ties.
    """
    groups = sorted(set(pairs.groups))
    Random(derived_seed(seed, "folds")).shuffle(groups)
    fold_of = {group: place % n_folds for place, group in enumerate(groups)}
    folds_N = np.array([fold_of[group] for group in pairs.groups])
    preferences_N, verdicts_N = np.zeros(len(folds_N)), np.zeros(len(folds_N))
    for fold in range(n_folds):
        inside, outside = np.flatnonzero(folds_N == fold), np.flatnonzero(folds_N != fold)
        try:
            learned = learn(pairs.only(outside.tolist()))
        except JudgeError:  # nothing to learn from the other folds, so nothing is known of this one
            preferences_N[inside] = 0.5
            continue
        preferences_N[inside] = learned.preferences(pairs.features[inside])
        verdicts_N[inside] = learned.verdicts(preferences_N[inside])
    return preferences_N, verdicts_N


def _tie_band(preferences_N: Floats, labels_N: Floats) -> float:
    """Return the band of ties with the most equal labels, the narrowest of equal ones, or 0 if no label is a tie."""
    if not (labels_N == 0).any():
        return 0.0
    distances = np.unique(np.abs(preferences_N - 0.5))
    bands = [0.0, *((distances[1:] + distances[:-1]) / 2)]
    return float(max(bands, key=lambda band: (np.sum(_verdicts(preferences_N, band) == labels_N), -band)))


def _verdicts(preferences_N: Floats, tie: float) -> Floats:
    lean_N = preferences_N - 0.5
    return np.where(np.abs(lean_N) <= tie, 0.0, np.sign(lean_N))


def _logistic(evidence_N: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(evidence_N, -500, 500))), dtype=np.float64)
