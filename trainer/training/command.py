"""The shared part of the commands that train on a file: reading, the dry run, training, printing."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from console.errors import InputError
from console.output import tell_plan
from console.progress import say
from console.table import print_table
from engines.models import check_model, resolve_model
from records.files import BadRows, take
from records.shapes import read_chats
from trainer.training.examples.file_rows import FileRows, Rows
from trainer.training.flags import TrainFlags, codes_of
from trainer.training.options import Learning, TrainingOptions, check_options, with_lora
from trainer.training.outcome import Trained, claim_folder, table_row

MemoryPlan = tuple[dict[str, object], list[str]]
"""What a plan says of a training's memory, as plain data and as lines."""


@dataclass(frozen=True)
class Training:
    """A training whose file is read and whose folder is claimed."""

    config: TrainFlags
    out: Path
    options: TrainingOptions
    parent: Path
    """The folder of the model to start from."""
    examples: Rows[Any]
    more: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of the training function."""
    n_cut_off: int | None = None
    """Answers that were cut off when they were generated, if they were counted in the file."""

    def run(self, train: Callable[..., Trained]) -> None:
        """Call `train` with parent, out, examples, options, seed and `more`, and print its report.

        A command imports `train` only here, after everything was read and checked, because it loads torch.
        """
        trained = train(self.parent, self.out, self.examples, self.options, self.config.seed, **self.more)
        if self.n_cut_off is not None:
            trained = replace(trained, n_cut_off=self.n_cut_off)
        print_table([table_row(trained, self.out)], as_json=self.config.json)


def read_chat_training(config: TrainFlags, out: Path, options: TrainingOptions) -> Training | None:
    """Return the training on the conversations of the file, or None with --dry-run, which prints the plan."""
    if config.file is None:
        raise InputError("name a file of conversations; see --help")
    options = with_lora(options, config.lora)
    check_options(options)
    bad = BadRows(strict=config.strict)
    file, codes = config.file, codes_of(config)
    chats = FileRows(lambda bad: take(read_chats(file, bad, codes), config.limit), bad)
    if config.dry_run:
        memory = memory_plan(config, options, options.micro_batch_size * options.max_length)
        print_plan(config, out, {"conversations": len(chats)}, f"{len(chats)} conversations", memory)
        return None
    parent = resolve_model(config.model, config.run)
    claim_folder(out, fresh=config.fresh)
    if bad.n_cut_off:
        say(f"{config.file}: {bad.n_cut_off} answers were cut off when they were generated")
    return Training(config, out, options, parent, chats, n_cut_off=bad.n_cut_off)


def print_plan(
    config: TrainFlags, out: Path, counts: Mapping[str, int | str], examples: str, memory: MemoryPlan
) -> None:
    """Print the plan of a dry run, with the number of `examples` in words."""
    plan = {"model": config.model, "of": config.file, **counts, "out": out}
    sentence = f"would train {config.model} on {examples} of {config.file} and save it to {out}"
    tell_plan(plan | memory[0], sentence, *memory[1], as_json=config.json)


def memory_plan(config: TrainFlags, options: Learning, n_tokens: int, **load: Any) -> MemoryPlan:
    """Return what the training takes that holds `n_tokens` at once: nothing if the model is not here.

    `load` is what `planned` of trainer.training.memory.choice takes besides. Raises InputError if there is no such
    model, or it has not the attention that is asked for.
    """
    folder = check_model(config.model, config.run)
    if folder is None:
        return {}, []
    # loads torch, which the rest of a command's plan does without
    plan: MemoryPlan = importlib.import_module("trainer.training.memory.choice").planned(
        folder, options, n_tokens, **load
    )
    return plan
