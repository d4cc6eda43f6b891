"""Trains a model on preference pairs with SimPO's loss."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.preference.losses import simpo_loss
from trainer.preference.reference_free import train_reference_free
from trainer.simpo.options import SimPOOptions
from trainer.training.checkpoints import Checkpoints
from trainer.training.outcome import Trained

if TYPE_CHECKING:
    from records import Pair


def train_simpo(
    parent: Path,
    out: Path,
    pairs: "Sequence[Pair]",
    options: SimPOOptions,
    seed: int,
    title: str = "SimPO",
    checkpoints: Checkpoints | None = None,
) -> Trained:
    """Train the model in `parent` on `pairs` and save it in `out`. The loss is `trainer.preference.losses.simpo_loss`.

    Raises InputError for a bad setting, TrainingError if there is nothing to train on or the loss is not a number.
    """
    loss = partial(simpo_loss, beta=options.beta, gamma=options.gamma_over_beta * options.beta)
    return train_reference_free(parent, out, pairs, options, seed, title, loss, options.beta, checkpoints)
