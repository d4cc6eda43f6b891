"""Simple preference optimisation on pairs: mean log-probabilities, a margin, no reference model (Meng et al., 2024).

python -m trainer.simpo runs/demo/iter2/pairs.jsonl --model iter1 --out runs/simpo/model
python -m trainer.simpo pairs.parquet --model Qwen/Qwen3-0.6B --beta 10 --gamma-over-beta 0.3 --out runs/simpo/model
accelerate launch --config_file recipes/accelerate_fsdp.yaml -m trainer.simpo pairs.jsonl --model M --out runs/simpo/M

FILE has preference pairs: this project's, TRL's `prompt`, `chosen`, `rejected`, two outputs with a `label`, CSV,
Parquet, .gz of these, or a hub data set. A pair's `weight` is its weight in the loss, over the mean weight.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from console.command import run
from console.writing import OutFolder
from trainer.preference.command import PairFlags, read_pair_training
from trainer.simpo.options import SimPOOptions
from trainer.training.processes import one_voice


@dataclass(frozen=True, kw_only=True)
class Config(PairFlags):
    """Train a model on preference pairs."""

    out: OutFolder = Path("runs/simpo/model")
    """The folder of the new model."""
    training: Annotated[SimPOOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=SimPOOptions)


@one_voice()
def main(config: Config) -> None:
    """Read, train, save and print the report."""
    training = read_pair_training(config, config.out, config.training)
    if training is not None:
        from trainer.simpo.train import train_simpo

        training.run(train_simpo)


if __name__ == "__main__":
    run(Config, main, "python -m trainer.simpo")
