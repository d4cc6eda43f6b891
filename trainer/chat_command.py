"""What the commands that train on conversations share: their flags, and reading, training, printing."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from console.command import Flags, Given
from console.errors import InputError
from trainer.training import Trained, TrainingOptions

Train = Callable[..., Trained]
"""Takes parent, out, conversations, options and seed."""


@dataclass(frozen=True, kw_only=True)
class ChatFlags(Flags):
    """The flags of a command that trains on conversations."""

    file: Given = None
    """Conversations to learn from."""
    model: str = "smollm2"
    """The model to start from: iterN, a folder, a hub id, or smollm2."""
    run: str | None = None
    """The run that iterN is looked up in; the default is the newest."""
    limit: int | None = None
    """Use only the first N conversations."""


def train_on_chats(config: ChatFlags, out: Path, options: TrainingOptions, train: Train) -> None:
    """Read the conversations, call `train`, and print what happened."""
    from itertools import islice

    from console.table import print_table
    from engines.models import resolve_model
    from records.files import BadRows
    from records.shapes import read_chats
    from trainer.training import claim_folder, table_row

    if config.file is None:
        raise InputError("name a file of conversations; see --help")
    chats = list(islice(read_chats(config.file, BadRows(strict=config.strict)), config.limit))
    parent = resolve_model(config.model, config.run)
    if config.dry_run:
        print(f"would train {config.model} on {len(chats)} conversations of {config.file} and save it to {out}")
        return
    claim_folder(out, fresh=config.fresh)
    print_table([table_row(train(parent, out, chats, options, config.seed), out)], as_json=config.json)
