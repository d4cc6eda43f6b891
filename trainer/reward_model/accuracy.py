"""Measures how often a reward model prefers the preferred answer, and whether its margins are probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from console.progress import say
from engines.reward_model import AnyRewardModel
from judges.intervals.bootstrap import Estimate, estimate, proportion_of, resampled
from judges.intervals.statistics import calibration_errors
from records import Pair, text_of
from records.fields.messages import text_of_completion

if TYPE_CHECKING:
    from console.table import Cell

N_RESAMPLES = 1000


@dataclass(frozen=True)
class RewardAccuracy:
    """Figures of a reward model on pairs it was not trained on, with 95% bootstrap intervals over prompts."""

    accuracy: Estimate
    """The share of pairs whose chosen answer has the higher reward. Equal rewards count as half right."""
    calibration_error: Estimate
    """Expected calibration error of sigmoid(|r(yw) - r(yl)|) as the probability of being right, ten bins."""
    n_unscored: int
    """Pairs with an answer that has no reward. They are in neither figure."""


def measure(model: AnyRewardModel, pairs: Sequence[Pair], seed: int, n_resamples: int = N_RESAMPLES) -> RewardAccuracy:
    """Return the accuracy of `model` on `pairs`. Pairs with the same prompt are resampled together."""
    prompts = [pair.prompt for pair in pairs]
    chosen = model.score(prompts, [text_of_completion(pair.chosen) for pair in pairs])
    rejected = model.score(prompts, [text_of_completion(pair.rejected) for pair in pairs])
    margins = [
        (text_of(pair.prompt), high - low)
        for pair, high, low in zip(pairs, chosen, rejected, strict=True)
        if high is not None and low is not None
    ]
    for reason, n in model.unscored.most_common():
        say(f"{n} held-out answers have no reward: {reason}")
    margins_N = np.array([margin for _, margin in margins])
    # 1, 0.5 or 0 for a margin above, at or below 0.
    right_N, confidence_N = (np.sign(margins_N) + 1) / 2, 1 / (1 + np.exp(-np.abs(margins_N)))
    weights_BN = resampled([prompt for prompt, _ in margins], n_resamples, seed)
    error = calibration_errors(confidence_N, right_N, np.ones((1, len(margins))))[0] if margins else None
    errors_B = calibration_errors(confidence_N, right_N, weights_BN) if margins else np.zeros(0)
    return RewardAccuracy(
        proportion_of("accuracy", right_N, weights_BN),
        estimate("calibration error", error, errors_B, len(margins)),
        len(pairs) - len(margins),
    )


def figures(measured: RewardAccuracy) -> "dict[str, Cell]":
    """Return the columns of a table row."""
    accuracy, error = measured.accuracy, measured.calibration_error
    return {
        "held-out pairs": accuracy.n,
        "unscored": measured.n_unscored,
        "accuracy": accuracy.value,
        "from": accuracy.low,
        "to": accuracy.high,
        "calibration error": error.value,
        "error from": error.low,
        "error to": error.high,
    }
