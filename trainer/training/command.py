"""The shared part of the commands that train on a file: reading, the dry run, training, printing."""

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from console.errors import InputError
from console.output import tell_plan
from console.progress import say
from console.table import print_table
from engines.models import check_model, resolve_model
from records import Message
from records.files import BadRows, take
from records.shapes import read_chats
from trainer.training.examples.file_rows import FileRows, Rows
from trainer.training.examples.held_out import SHARE_FLAG, held_out_places, opening_of, prompt_key
from trainer.training.flags import TrainFlags, codes_of
from trainer.training.options import Learning, TrainingOptions, ValidatedOptions, check_options, with_lora
from trainer.training.outcome import Trained, check_free, claim_folder, table_row

PlanPart = tuple[dict[str, object], list[str]]
"""What a plan says of one side of a training, such as its memory: as plain data and as lines."""


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
    validation = validation_plan(options, (opening_of(chat) for chat in chats), config.seed)
    if config.dry_run:
        check_free(out, [config.model, file], fresh=config.fresh)
        memory = memory_plan(config, options, options.micro_batch_size * options.max_length)
        print_plan(config, out, {"conversations": len(chats)}, f"{len(chats)} conversations", validation, memory)
        return None
    parent = resolve_model(config.model, config.run)
    claim_folder(out, [parent, file], fresh=config.fresh)
    if bad.n_cut_off:
        say(f"{config.file}: {bad.n_cut_off} answers were cut off when they were generated")
    return Training(config, out, options, parent, chats, n_cut_off=bad.n_cut_off)


def print_plan(config: TrainFlags, out: Path, counts: Mapping[str, int | str], examples: str, *parts: PlanPart) -> None:
    """Print the plan of a dry run, with the number of `examples` in words."""
    plan: dict[str, object] = {"model": config.model, "of": config.file, **counts, "out": out}
    sentence = f"would train {config.model} on {examples} of {config.file} and save it to {out}"
    for more, _ in parts:
        plan |= more
    tell_plan(plan, sentence, *(line for _, lines in parts for line in lines), as_json=config.json)


def validation_plan(options: TrainingOptions, prompts: Iterable[Sequence[Message]], seed: int) -> PlanPart:
    """Return how many rows --validation-share leaves to learn and holds out, by their `prompts`: nothing without it.

    Raises InputError if there are too few prompts to hold some out.
    """
    if not isinstance(options, ValidatedOptions) or not options.validation_share:
        return {}, []
    learnt, held_out = held_out_places(
        [prompt_key(messages) for messages in prompts], options.validation_share, seed, SHARE_FLAG
    )
    line = f"would learn {len(learnt)} of them, and measure the validation loss on {len(held_out)} of other prompts"
    return {"learnt": len(learnt), "validation": len(held_out)}, [line]


def memory_plan(config: TrainFlags, options: Learning, n_tokens: int, **load: Any) -> PlanPart:
    """Return what the training takes that holds `n_tokens` at once: nothing if the model is not here.

    `load` is what `planned` of trainer.training.memory.choice takes besides. Raises InputError if there is no such
    model, or it has not the attention that is asked for.
    """
    folder = check_model(config.model, config.run)
    if folder is None:
        return {}, []
    # loads torch, which the rest of a command's plan does without
    plan: PlanPart = importlib.import_module("trainer.training.memory.choice").planned(
        folder, options, n_tokens, **load
    )
    return plan
