"""Intuitive fine-tuning on conversations: SFT on inputs with the model's own predictions (arXiv 2405.11870).

python -m trainer.ift chats.jsonl --model smollm2 --out runs/ift/model
python -m trainer.ift chats.jsonl --model iter1 --loss-on all --average answers --optim rmsprop --out runs/ift/model
python -m trainer.ift chats.jsonl --lambda-noise normal --decay 0.9 --variant algorithm --out runs/ift/model
accelerate launch --config_file recipes/accelerate_fsdp.yaml -m trainer.ift chats.jsonl --model M --out runs/ift/model

FILE has conversations: `messages`, `prompt` and `completion`, Alpaca's `instruction` and `output`, CSV, Parquet, .gz of
these, or a hub data set. A share --max-lambda of each answer token's embedding comes from the model's own prediction,
and a token's weight also grows with the losses after it (--decay). Without the two, it is trainer.sft. A row's `weight`
counts as there.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from console.command import run
from console.writing import OutFolder
from trainer.ift.options import IFTOptions, check_ift
from trainer.training.command import read_chat_training
from trainer.training.flags import TrainFlags
from trainer.training.options import with_lora
from trainer.training.processes import one_voice


@dataclass(frozen=True, kw_only=True)
class Config(TrainFlags):
    """Fine-tune a model on conversations."""

    out: OutFolder = Path("runs/ift/model")
    """The folder of the new model."""
    training: Annotated[IFTOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=IFTOptions)


@one_voice()
def main(config: Config) -> None:
    """Read, train, save and print the report."""
    options = with_lora(config.training, config.lora)
    check_ift(options)
    training = read_chat_training(config, config.out, options)
    if training is not None:
        from trainer.ift.trainer import train_ift

        training.run(train_ift)


if __name__ == "__main__":
    run(Config, main, "python -m trainer.ift")
