"""Supervised fine-tuning on conversations; the loss is on the last assistant turn only.

python -m trainer.sft chats.jsonl --model smollm2 --out runs/sft/model
python -m trainer.sft answers.json.gz --model runs/demo/iter1/model --learning-rate 2e-5 --epochs 2 --out runs/sft/model
accelerate launch --config_file recipes/accelerate_fsdp.yaml -m trainer.sft chats.jsonl --model M --out runs/sft/model

FILE has conversations: `messages`, sharegpt's `conversations`, `prompt` and `completion`, Alpaca's `instruction` and
`output`, or pairs, of which the chosen answer only is learnt; CSV, Parquet, .gz of these, or a hub data set.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from console.command import run
from console.ranges import Positive
from console.writing import OutFolder
from trainer.training.command import train_on_chats
from trainer.training.fit import Trained
from trainer.training.flags import TrainFlags
from trainer.training.options import TrainingOptions, check_options
from trainer.training.processes import one_voice

if TYPE_CHECKING:
    from records import Message


@dataclass(frozen=True)
class SFTOptions(TrainingOptions):
    """How to fine-tune; the defaults are the paper's (Self-Rewarding, section 3.1.4)."""

    learning_rate: Positive = 5.5e-6


@dataclass(frozen=True, kw_only=True)
class Config(TrainFlags):
    """Fine-tune a model on conversations."""

    out: OutFolder = Path("runs/sft/model")
    """The folder of the new model."""
    training: Annotated[SFTOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=SFTOptions)


@one_voice()
def main(config: Config) -> None:
    """Read, train, save and print what happened."""
    train_on_chats(config, config.out, config.training, train_sft)


def train_sft(
    parent: Path, out: Path, chats: "Sequence[list[Message]]", options: SFTOptions, seed: int, title: str = "SFT"
) -> Trained:
    """Fine-tune the model in `parent` on `chats` and save it in `out`.

    Raises InputError for a bad setting, TrainingError where there is nothing to train on or the loss is not a number.
    """
    from console.errors import TrainingError

    check_options(options)
    if not chats:
        raise TrainingError("no conversation to train on")
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    from trainer.training.fit import fit, load_policy, safe_example, trainer_settings
    from trainer.training.lengths import Lengths, fitting
    from trainer.training.resume import work_of

    model, tokenizer = load_policy(parent, options.chat_template_kwargs)
    rows = [safe_example(tokenizer, chat[:-1], completion=chat[-1:]) for chat in chats]
    kept = fitting(tokenizer, rows, options.max_length, title)
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(**trainer_settings(options, work_of(out), seed), completion_only_loss=True),
        train_dataset=Dataset.from_list(kept),
        processing_class=tokenizer,
    )
    return fit(trainer, out, title, options=options, lengths=Lengths(len(rows) - len(kept)))


if __name__ == "__main__":
    run(Config, main, "python -m trainer.sft")
