"""Kahneman-Tversky optimisation: each answer is good or bad by itself (KTO: Ethayarajh et al., 2024).

python -m trainer.kto runs/demo/iter2/pairs.jsonl --model iter1 --out runs/kto/model
python -m trainer.kto answers.jsonl --model iter1 --out runs/kto/model
python -m trainer.kto pairs.parquet --model Qwen/Qwen3-0.6B --beta 0.05 --undesirable-weight 1.2 --out runs/kto/model
accelerate launch --config_file recipes/accelerate_fsdp.yaml -m trainer.kto pairs.jsonl --model M --out runs/kto/model

FILE has answers with a `label` (or `kto_tag`) true or false, or preference pairs as for trainer.dpo, whose chosen
answers are the good ones. A pair's `weight` is not used.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from console.command import run
from console.writing import OutFolder
from records.rated import read_rated
from trainer.kto.options import KTOOptions, check_kto
from trainer.preference.command import PairFlags, read_pair_training
from trainer.training.processes import one_voice


@dataclass(frozen=True, kw_only=True)
class Config(PairFlags):
    """Train a model on answers that are good or bad."""

    out: OutFolder = Path("runs/kto/model")
    """The folder of the new model."""
    training: Annotated[KTOOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=KTOOptions)


@one_voice()
def main(config: Config) -> None:
    """Read, train, save and print the report."""
    training = read_pair_training(config, config.out, config.training, check_kto, read=read_rated)
    if training is not None:
        from trainer.kto.train import train_kto

        training.run(train_kto)


if __name__ == "__main__":
    run(Config, main, "python -m trainer.kto")
