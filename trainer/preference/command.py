"""The shared part of the commands that train on preference pairs: flags, reading, checks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.errors import InputError
from console.ranges import Count
from console.writing import OutFolder
from engines.models import check_model, resolve_model
from records import Pair
from records.files import BadRows, take
from records.keys import content_key
from records.shapes import read_pairs
from trainer.preference.columns import check_pairs
from trainer.training.checkpoints import Checkpoints
from trainer.training.command import Training, memory_plan, print_plan, validation_plan
from trainer.training.flags import TrainFlags, codes_of
from trainer.training.options import OptionsT, TrainingOptions, check_options, deciding, with_lora
from trainer.training.outcome import check_free, claim_folder


@dataclass(frozen=True, kw_only=True)
class PairFlags(TrainFlags):
    """The flags of a command that trains on preference pairs."""

    checkpoints: OutFolder | None = None
    """A folder for checkpoints on the way, from which trainer.early_stop chooses; the default saves none."""
    every_n_steps: Count = 200
    """Optimiser steps from one checkpoint to the next."""
    checkpoint_key: str | None = None
    """The name of the training in its checkpoints, to tell them from those of other trainings; the default is made of
    the settings and the pairs."""


def read_pair_training(
    config: PairFlags,
    out: Path,
    options: OptionsT,
    check: Callable[[Sequence[Any], OptionsT], object] | None = None,
    *,
    reference: str | None = None,
    read: Callable[..., Iterator[Any]] = read_pairs,
) -> Training | None:
    """Return the training on the pairs of the file, or None with --dry-run, which prints the plan.

    `read` reads the file. `reference` is the name of a model that the training function also takes. `check`, by default
    `check_pairs`, raises InputError or TrainingError if the pairs and the settings cannot be trained with.
    """
    if config.file is None:
        raise InputError("name a file of preference pairs; see --help")
    options = with_lora(options, config.lora)
    check_options(options)
    pairs = list(take(read(config.file, BadRows(strict=config.strict), codes_of(config)), config.limit))
    if check is None:
        check_pairs(pairs)
    else:
        check(pairs, options)
    validation = validation_plan(options, (pair.prompt for pair in pairs), config.seed)
    if config.dry_run:
        check_free(out, [config.model, reference, config.file], fresh=config.fresh)
        if reference is not None:
            check_model(reference, config.run)
        memory = memory_plan(config, options, 2 * options.micro_batch_size * options.max_length)
        print_plan(config, out, {"examples": _counted(pairs)}, _counted(pairs), validation, memory)
        return None
    parent = resolve_model(config.model, config.run)
    more: dict[str, Any] = {}
    if reference is not None:
        more["reference"] = resolve_model(reference, config.run)
    claim_folder(out, [parent, more.get("reference"), config.file], fresh=config.fresh)
    more["checkpoints"] = _checkpoints(config, options, pairs, reference)
    return Training(config, out, options, parent, pairs, more)


def _counted(rows: Sequence[object]) -> str:
    kinds = {type(row).__name__ for row in rows}
    return f"{len(rows)} {'answers' if kinds == {'Rated'} else 'pairs and answers' if len(kinds) > 1 else 'pairs'}"


def _checkpoints(
    config: PairFlags, options: TrainingOptions, pairs: Sequence[Pair], reference: str | None
) -> Checkpoints | None:
    if config.checkpoints is None:
        return None
    made_of = (type(options).__name__, config.model, config.run, reference, deciding(options), config.seed, pairs)
    return Checkpoints(config.checkpoints, config.every_n_steps, config.checkpoint_key or content_key(*made_of))
