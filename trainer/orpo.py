"""Odds ratio preference optimisation on pairs, which needs no reference model (ORPO: Hong et al., 2024).

python -m trainer.orpo runs/demo/iter2/pairs.jsonl --model iter1 --out runs/orpo/model
python -m trainer.orpo pairs.parquet --model Qwen/Qwen3-0.6B --weight 0.25 --learning-rate 5e-6 --out runs/orpo/model
accelerate launch --config_file recipes/accelerate_fsdp.yaml -m trainer.orpo pairs.jsonl --model M --out runs/orpo/model

FILE has preference pairs: this project's, TRL's `prompt`, `chosen`, `rejected`, two outputs with a `label`, CSV,
Parquet, .gz of these, or a hub data set. A pair's `weight` is its weight in the loss, over the mean weight.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from console.command import run
from console.ranges import Positive
from console.writing import OutFolder
from trainer.preference.command import PairFlags, check_pairs, train_on_pairs
from trainer.training.fit import Trained
from trainer.training.options import TrainingOptions, check_options
from trainer.training.processes import one_voice

if TYPE_CHECKING:
    from records import Pair
    from trainer.training.checkpoints import Checkpoints


@dataclass(frozen=True)
class ORPOOptions(TrainingOptions):
    """How to optimise; the weight is that of the paper's Mistral models (arXiv 2403.07691)."""

    learning_rate: Positive = 8e-6
    weight: Positive = 0.1
    """Of the odds ratio beside the chosen answers' likelihood, the paper's lambda; intuitive fine-tuning has 0.25."""


@dataclass(frozen=True, kw_only=True)
class Config(PairFlags):
    """Train a model on preference pairs."""

    out: OutFolder = Path("runs/orpo/model")
    """The folder of the new model."""
    training: Annotated[ORPOOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=ORPOOptions)


@one_voice()
def main(config: Config) -> None:
    """Read, train, save and print what happened."""
    train_on_pairs(config, config.out, config.training, train_orpo)


def train_orpo(
    parent: Path,
    out: Path,
    pairs: "Sequence[Pair]",
    options: ORPOOptions,
    seed: int,
    title: str = "ORPO",
    checkpoints: "Checkpoints | None" = None,
) -> Trained:
    """Train the model in `parent` on `pairs` and save it in `out`; the loss is `trainer.preference.losses.orpo_loss`.

    Raises InputError for a bad setting, TrainingError where there is nothing to train on or the loss is not a number.
    """
    check_options(options)
    check_pairs(pairs)
    from trainer.preference.losses import orpo_loss
    from trainer.preference.reference_free import train_reference_free

    loss = partial(orpo_loss, weight=options.weight)
    return train_reference_free(parent, out, pairs, options, seed, title, loss, options.weight, checkpoints)


if __name__ == "__main__":
    run(Config, main, "python -m trainer.orpo")
