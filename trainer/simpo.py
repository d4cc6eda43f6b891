"""Simple preference optimisation on pairs: mean log-probabilities, a margin, no reference model (Meng et al., 2024).

python -m trainer.simpo runs/demo/iter2/pairs.jsonl --model iter1 --out runs/simpo/model
python -m trainer.simpo pairs.parquet --model Qwen/Qwen3-0.6B --beta 10 --gamma-over-beta 0.3 --out runs/simpo/model
accelerate launch --config_file recipes/accelerate_fsdp.yaml -m trainer.simpo pairs.jsonl --model M --out runs/simpo/M

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
from console.ranges import NotNegative, Positive
from console.writing import OutFolder
from trainer.preference.command import PairFlags, check_pairs, train_on_pairs
from trainer.training.fit import Trained
from trainer.training.options import TrainingOptions, check_options
from trainer.training.processes import one_voice

if TYPE_CHECKING:
    from records import Pair
    from trainer.training.checkpoints import Checkpoints


@dataclass(frozen=True)
class SimPOOptions(TrainingOptions):
    """How to optimise; beta and the margin are those that intuitive fine-tuning was compared with (its table 4)."""

    learning_rate: Positive = 5e-7
    beta: Positive = 2.0
    """How much a difference of mean log-probabilities counts."""
    gamma_over_beta: NotNegative = 0.8
    """The margin that the mean log-probabilities are to have; 0 asks for none."""


@dataclass(frozen=True, kw_only=True)
class Config(PairFlags):
    """Train a model on preference pairs."""

    out: OutFolder = Path("runs/simpo/model")
    """The folder of the new model."""
    training: Annotated[SimPOOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=SimPOOptions)


@one_voice()
def main(config: Config) -> None:
    """Read, train, save and print what happened."""
    train_on_pairs(config, config.out, config.training, train_simpo)


def train_simpo(
    parent: Path,
    out: Path,
    pairs: "Sequence[Pair]",
    options: SimPOOptions,
    seed: int,
    title: str = "SimPO",
    checkpoints: "Checkpoints | None" = None,
) -> Trained:
    """Train the model in `parent` on `pairs` and save it in `out`; the loss is `trainer.preference.losses.simpo_loss`.

    Raises InputError for a bad setting, TrainingError where there is nothing to train on or the loss is not a number.
    """
    check_options(options)
    check_pairs(pairs)
    from trainer.preference.losses import simpo_loss
    from trainer.preference.reference_free import train_reference_free

    loss = partial(simpo_loss, beta=options.beta, gamma=options.gamma_over_beta * options.beta)
    return train_reference_free(parent, out, pairs, options, seed, title, loss, options.beta, checkpoints)


if __name__ == "__main__":
    run(Config, main, "python -m trainer.simpo")
