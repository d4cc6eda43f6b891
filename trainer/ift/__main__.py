"""Intuitive fine-tuning on conversations: SFT that learns from where the model itself would go (arXiv 2405.11870).

python -m trainer.ift chats.jsonl --model smollm2 --out runs/ift/model
python -m trainer.ift chats.jsonl --model iter1 --turns all --average answers --optimizer rmsprop --out runs/ift/model
python -m trainer.ift chats.jsonl --lambda-noise normal --decay 0.9 --variant algorithm --out runs/ift/model
accelerate launch --config_file recipes/accelerate_fsdp.yaml -m trainer.ift chats.jsonl --model M --out runs/ift/model

FILE has conversations: `messages`, `prompt` and `completion`, Alpaca's `instruction` and `output`, CSV, Parquet, .gz of
these, or a hub data set. A part --max-lambda of each answer token's embedding is that of the model's own prediction of
it, and each token's loss counts for those after it as well (--decay). Without the two, it is trainer.sft.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from console.command import Flags, Given, run
from console.errors import InputError
from trainer.ift.options import IFTOptions, check_ift
from trainer.launch import one_voice


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Fine-tune a model on conversations."""

    file: Given = None
    """Conversations to learn from."""
    model: str = "smollm2"
    """The model to start from: iterN, a folder, a hub id, or smollm2."""
    run: str | None = None
    """The run that iterN is looked up in; the default is the newest."""
    out: Path = Path("runs/ift/model")
    """The folder of the new model."""
    limit: int | None = None
    """Use only the first N conversations."""
    training: Annotated[IFTOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=IFTOptions)


@one_voice()
def main(config: Config) -> None:
    """Read, train, save and print what happened."""
    from itertools import islice

    from console.table import print_table
    from engines.models import resolve_model
    from records.files import BadRows
    from records.shapes import read_chats
    from trainer.training import claim_folder, table_row

    if config.file is None:
        raise InputError("name a file of conversations; see --help")
    check_ift(config.training)
    chats = list(islice(read_chats(config.file, BadRows(strict=config.strict)), config.limit))
    parent = resolve_model(config.model, config.run)
    if config.dry_run:
        print(f"would train {config.model} on {len(chats)} conversations of {config.file} and save it to {config.out}")
        return
    from trainer.ift.trainer import train_ift

    claim_folder(config.out, fresh=config.fresh)
    trained = train_ift(parent, config.out, chats, config.training, config.seed)
    print_table([table_row(trained, config.out)], as_json=config.json)


if __name__ == "__main__":
    run(Config, main, "python -m trainer.ift")
