"""Fine-tune a model on conversations (SFT). The loss is on the last assistant turn, or on all (--loss-on).

python -m trainer.sft chats.jsonl --model smollm2 --out runs/sft/model
python -m trainer.sft answers.json.gz --model runs/demo/iter1/model --learning-rate 2e-5 --epochs 2 --out runs/sft/model
python -m trainer.sft chats.jsonl --model smollm2 --loss-on all --out runs/sft/model
python -m trainer.sft chats.jsonl --model smollm2 --lora.r 16 --learning-rate 2e-4 --out runs/sft/model
accelerate launch --config_file recipes/accelerate_fsdp.yaml -m trainer.sft chats.jsonl --model M --out runs/sft/model

FILE has conversations: `messages`, sharegpt's `conversations`, `prompt` and `completion`, Alpaca's `instruction` and
`output`, or pairs, of which only the chosen answer is learned. It may be CSV, Parquet, .gz of these, or a hub data set.
A row's `weight`, above 0, is its weight in the loss, over the mean weight.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from console.command import run
from console.writing import OutFolder
from trainer.sft.options import SFTOptions, check_sft
from trainer.training.command import read_chat_training
from trainer.training.flags import TrainFlags
from trainer.training.options import with_lora
from trainer.training.processes import one_voice


@dataclass(frozen=True, kw_only=True)
class Config(TrainFlags):
    """Fine-tune a model on conversations."""

    out: OutFolder = Path("runs/sft/model")
    """The folder of the new model."""
    training: Annotated[SFTOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=SFTOptions)


@one_voice()
def main(config: Config) -> None:
    """Read, train, save and print the report."""
    options = with_lora(config.training, config.lora)
    check_sft(options)
    training = read_chat_training(config, config.out, options)
    if training is not None:
        from trainer.sft.train import train_sft

        training.run(train_sft)


if __name__ == "__main__":
    run(Config, main, "python -m trainer.sft")
