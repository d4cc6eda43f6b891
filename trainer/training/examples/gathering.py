"""Gathers the examples of a training: those that fit, in a part to learn and a part to validate on."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.progress import say
from trainer.training.examples.held_out import SHARE_FLAG, held_out_places, prompt_key
from trainer.training.examples.on_disk import on_disk
from trainer.training.lengths import fitting

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from records import Message
    from trainer.training.options import ValidatedOptions

Example = dict[str, Any]
WEIGHT = "example_weight"
"""The column of the examples' weights. It is left out if all are equal."""
PREPARED = {"skip_prepare_dataset": True}
"""TRL's setting for examples that have tokens and labels, and fit."""
KEY = "prompt_key"
"""The column by which examples of one prompt stay on one side. It goes before the training begins."""


@dataclass(frozen=True)
class Examples:
    """The examples of a training, as data sets."""

    learnt: Any
    validating: Any
    """None without --validation-share."""
    n_left_out: int
    """Examples that end beyond max_length."""


def gather(
    tokenizer: "PreTrainedTokenizerBase",
    examples: "Iterable[tuple[Sequence[Message], Example]]",
    options: "ValidatedOptions",
    out: Path,
    seed: int,
    title: str,
) -> Examples:
    """Return the examples that fit into max_length, in a file. Each comes after the prompt that holds it out or not.

    Raises TrainingError if none fits, InputError if there are too few prompts to hold some out.
    """
    n_read = 0

    def keyed() -> Iterator[Example]:
        nonlocal n_read
        for prompt, example in examples:
            n_read += 1
            yield example | {KEY: prompt_key(prompt)}

    whole = on_disk(out, fitting(tokenizer, keyed(), options.max_length, title))
    if WEIGHT in whole.column_names:
        whole = _weighted(whole, title)
    learnt, validating = split(whole, whole[KEY], options, seed)
    learnt, validating = (part and part.remove_columns(KEY) for part in (learnt, validating))
    return Examples(learnt, validating, n_read - len(whole))


def _weighted(whole: Any, title: str) -> Any:
    """Return the examples without their weights if these are equal. Others are told."""
    least, most = min(whole[WEIGHT]), max(whole[WEIGHT])
    if least == most:
        return whole.remove_columns(WEIGHT)
    say(f"{title}: the rows' weights count in the loss, from {least:g} to {most:g}")
    return whole


def split(whole: Any, keys: Sequence[str], options: "ValidatedOptions", seed: int) -> tuple[Any, Any]:
    """Return the part of a data set to learn and the one to validate on, or all of it and None."""
    if not options.validation_share:
        return whole, None
    learnt, validating = held_out_places(keys, options.validation_share, seed, SHARE_FLAG)
    return whole.select(learnt), whole.select(validating)
