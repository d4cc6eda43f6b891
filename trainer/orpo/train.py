"""Trains a model on preference pairs with ORPO's loss."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.orpo.options import ORPOOptions
from trainer.preference.losses import orpo_loss
from trainer.preference.reference_free import train_reference_free
from trainer.training.checkpoints import Checkpoints
from trainer.training.outcome import Trained

if TYPE_CHECKING:
    from records import Pair


def train_orpo(
    parent: Path,
    out: Path,
    pairs: "Sequence[Pair]",
    options: ORPOOptions,
    seed: int,
    title: str = "ORPO",
    checkpoints: Checkpoints | None = None,
) -> Trained:
    """Train the model in `parent` on `pairs` and save it in `out`. The loss is `trainer.preference.losses.orpo_loss`.

    Raises InputError for a bad setting, TrainingError if there is nothing to train on or the loss is not a number.
    """
    loss = partial(orpo_loss, weight=options.weight)
    return train_reference_free(parent, out, pairs, options, seed, title, loss, options.weight, checkpoints)
