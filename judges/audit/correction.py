"""A win rate corrected for the judge's errors, like a prevalence for the errors of a diagnostic test."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from judges.audit.arrays import PairArrays
from judges.intervals.bootstrap import Estimate, Floats, estimate, means, proportion_of, resampled
from judges.labelled.labels import CODE, Verdict
from records.keys import derived_seed


@dataclass(frozen=True)
class Wins:
    """Verdicts of a test set, each (N,), NaN without a verdict."""

    name: str
    wins: Floats
    """1 for b, 0.5 for a tie, 0 for a."""
    weights: Floats
    truth: Floats | None = None
    """The same by the labels, if the set is labelled."""


@dataclass(frozen=True)
class Correction:
    """The judged win rate of b on the test set, and the win rate corrected for the judge's errors."""

    sensitivity: Estimate
    specificity: Estimate
    judged: Estimate
    corrected: Estimate
    labelled: Estimate | None
    """The true win rate, if the test set is labelled."""
    test: str
    """The name of the test set."""


def rogan_gladen(judged: Floats, sensitivity: Floats, specificity: Floats) -> Floats:
    """Return (p + sp - 1) / (se + sp - 1), clipped to [0, 1], or NaN if the judge is no better than chance.

    Rogan and Gladen 1978, Am. J. Epidemiology 107(1), 71-76.
    """
    better = sensitivity + specificity - 1
    with np.errstate(invalid="ignore", divide="ignore"):
        corrected: Floats = np.clip((judged + specificity - 1) / np.where(better > 0, better, np.nan), 0, 1)
    return corrected


def corrected_win_rate(calibration: PairArrays, test: Wins) -> Correction:
    """Return the win rate of b on `test`, corrected by the errors that the judge makes on `calibration`.

    Sensitivity is the rate of preferring b among labels b, specificity the rate of preferring a among labels a. A tie
    of the judge counts half in all three. Pairs labelled as ties inform neither rate and are left out of the
    calibration. Both sets are resampled, so the interval covers both uncertainties.
    """
    wins_N = (1 + calibration.judge) / 2
    b_N = np.where(calibration.human > 0, wins_N, np.nan)
    a_N = np.where(calibration.human < 0, 1 - wins_N, np.nan)
    sensitivity = proportion_of("sensitivity: b where the label is b", b_N, calibration.weights)
    specificity = proportion_of("specificity: a where the label is a", a_N, calibration.weights)
    judged = proportion_of("win rate of b as judged", test.wins, test.weights)
    parts = [np.nan if part.value is None else part.value for part in (judged, sensitivity, specificity)]
    value = float(rogan_gladen(*(np.array([part]) for part in parts))[0])
    values_B = rogan_gladen(
        means(test.wins, test.weights), means(b_N, calibration.weights), means(a_N, calibration.weights)
    )
    note = "" if np.isfinite(value) else "the judge is no better than chance here, or a label does not occur"
    corrected = estimate("win rate of b, corrected", value, values_B, judged.n, note)
    truth = None
    if test.truth is not None:
        scored_N = np.where(np.isfinite(test.wins), test.truth, np.nan)
        truth = proportion_of("win rate of b by the labels", scored_N, test.weights)
    return Correction(sensitivity, specificity, judged, corrected, truth, test.name)


def halves(rows: PairArrays, seed: int) -> tuple[PairArrays, Wins]:
    """Return a random half of the prompts to calibrate on, and the other half as a test set whose truth is known."""
    groups = list(dict.fromkeys(pair.group for pair in rows.pairs))
    first = set(Random(derived_seed(seed, "halves")).sample(groups, len(groups) // 2))
    in_first_N = np.array([pair.group in first for pair in rows.pairs], dtype=bool)
    rest = rows.only(~in_first_N)
    test = Wins("the other half of the prompts", (1 + rest.judge) / 2, rest.weights, (1 + rest.human) / 2)
    return rows.only(in_first_N), test


def unlabelled(name: str, verdicts: Sequence[Verdict], groups: Sequence[str], n_resamples: int, seed: int) -> Wins:
    """Return a test set of stored verdicts. `groups` are their prompts."""
    wins = [np.nan if verdict.winner is None else (1 + CODE[verdict.winner]) / 2 for verdict in verdicts]
    return Wins(name, np.array(wins, dtype=float), resampled(groups, n_resamples, derived_seed(seed, "test")))
