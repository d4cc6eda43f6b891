"""What preference pairs must be to train on, and the columns that a training set has beside their texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.errors import InputError, TrainingError
from records.fields.wanted import MOST_WEIGHT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from records.rows import Pair

REFERENCE = ("ref_chosen_logps", "ref_rejected_logps")
"""TRL's columns of the reference model's log-probabilities of both answers."""
WEIGHT, LABEL = "pair_weight", "pair_label"
"""A pair's weight and the probability that its label is right. A training set has both columns or neither."""


def check_pairs(pairs: Sequence[Pair]) -> None:
    """Raise TrainingError if there is nothing to learn from, InputError if a weight is out of range."""
    if not pairs:
        raise TrainingError("no preference pair to train on")
    weights = [pair.weight for pair in pairs]
    for weight in weights:
        if not 0 <= weight <= MOST_WEIGHT:
            raise InputError(f"a pair's weight must be 0 or more and at most {MOST_WEIGHT:g}, found {weight:g}")
    if not any(weights):
        raise TrainingError("the weight of every preference pair is 0: there is nothing to train on")
