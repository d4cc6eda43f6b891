"""Direct preference optimisation on pairs, with the parent or another model as the reference (Rafailov et al., 2023).

python -m trainer.dpo runs/demo/iter2/pairs.jsonl --model iter1 --out runs/dpo/model
python -m trainer.dpo pairs.parquet --model Qwen/Qwen3-0.6B --beta 0.05 --learning-rate 5e-7 --out runs/dpo/model
python -m trainer.dpo pairs.jsonl --model iter2 --reference iter0 --labels soft --length-alpha 0.01 --out runs/dpo/model
python -m trainer.dpo pairs.jsonl --model M --checkpoints runs/dpo/checkpoints --every-n-steps 100 --out runs/dpo/model
python -m trainer.dpo pairs.jsonl --model M --lora.r 16 --learning-rate 1e-5 --out runs/dpo/model
accelerate launch --config_file recipes/accelerate_fsdp.yaml -m trainer.dpo pairs.jsonl --model M --out runs/dpo/model

FILE has preference pairs: this project's, TRL's `prompt`, `chosen`, `rejected`, hh-rlhf's, two outputs with a `label`,
CSV, Parquet, .gz of these, or a hub data set. docs/train.md lists all. A pair's `weight` is its weight in the loss,
over the mean weight.
"""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro

from console.command import run
from console.writing import OutFolder
from records.fields.wanted import CONFIDENCE, WEIGHT
from records.shapes import read_pairs
from trainer.dpo.options import DPOOptions, checked_columns
from trainer.preference.command import PairFlags, read_pair_training
from trainer.training.processes import one_voice


@dataclass(frozen=True, kw_only=True)
class Config(PairFlags):
    """Train a model on preference pairs."""

    reference: str | None = None
    """The reference model, named like --model; the default is the model to start from."""
    out: OutFolder = Path("runs/dpo/model")
    """The folder of the new model."""
    training: Annotated[DPOOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=DPOOptions)


@one_voice()
def main(config: Config) -> None:
    """Read, train, save and print the report."""
    used = (WEIGHT, CONFIDENCE) if config.training.labels == "soft" else (WEIGHT,)
    read = partial(read_pairs, used=used)
    training = read_pair_training(
        config, config.out, config.training, checked_columns, reference=config.reference, read=read
    )
    if training is not None:
        from trainer.dpo.train import train_dpo

        training.run(train_dpo)


if __name__ == "__main__":
    run(Config, main, "python -m trainer.dpo")
