"""The shared part of the commands that train on conversations: reading, training, printing."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from console.errors import InputError
from console.output import tell_plan
from console.progress import say
from console.table import print_table
from engines.models import resolve_model
from records.files import BadRows, take
from records.shapes import read_chats
from trainer.training.flags import TrainFlags, codes_of
from trainer.training.options import TrainingOptions, check_options
from trainer.training.outcome import Trained, claim_folder, table_row

Train = Callable[..., Trained]
"""Takes parent, out, conversations, options and seed."""


def train_on_chats(config: TrainFlags, out: Path, options: TrainingOptions, train: Train) -> None:
    """Read the conversations, call `train`, and print its report."""
    if config.file is None:
        raise InputError("name a file of conversations; see --help")
    check_options(options)
    bad = BadRows(strict=config.strict)
    chats = list(take(read_chats(config.file, bad, codes_of(config)), config.limit))
    parent = resolve_model(config.model, config.run, weights=not config.dry_run)
    if config.dry_run:
        plan = {"model": config.model, "of": config.file, "conversations": len(chats), "out": out}
        sentence = f"would train {config.model} on {len(chats)} conversations of {config.file} and save it to {out}"
        tell_plan(plan, sentence, as_json=config.json)
        return
    claim_folder(out, fresh=config.fresh)
    if bad.n_cut_off:
        say(f"{config.file}: {bad.n_cut_off} answers were cut off when they were generated")
    trained = replace(train(parent, out, chats, options, config.seed), n_cut_off=bad.n_cut_off)
    print_table([table_row(trained, out)], as_json=config.json)
