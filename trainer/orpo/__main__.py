"""Odds ratio preference optimisation on pairs, which needs no reference model (ORPO: Hong et al., 2024).

python -m trainer.orpo runs/demo/iter2/pairs.jsonl --model iter1 --out runs/orpo/model
python -m trainer.orpo pairs.parquet --model Qwen/Qwen3-0.6B --weight 0.25 --learning-rate 5e-6 --out runs/orpo/model
accelerate launch --config_file recipes/accelerate_fsdp.yaml -m trainer.orpo pairs.jsonl --model M --out runs/orpo/model

FILE has preference pairs: this project's, TRL's `prompt`, `chosen`, `rejected`, two outputs with a `label`, CSV,
Parquet, .gz of these, or a hub data set. A pair's `weight` is its weight in the loss, over the mean weight.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from console.command import run
from console.writing import OutFolder
from trainer.orpo.options import ORPOOptions
from trainer.preference.command import PairFlags, read_pair_training
from trainer.training.processes import one_voice


@dataclass(frozen=True, kw_only=True)
class Config(PairFlags):
    """Train a model on preference pairs."""

    out: OutFolder = Path("runs/orpo/model")
    """The folder of the new model."""
    training: Annotated[ORPOOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=ORPOOptions)


@one_voice()
def main(config: Config) -> None:
    """Read, train, save and print the report."""
    training = read_pair_training(config, config.out, config.training)
    if training is not None:
        from trainer.orpo.train import train_orpo

        training.run(train_orpo)


if __name__ == "__main__":
    run(Config, main, "python -m trainer.orpo")
