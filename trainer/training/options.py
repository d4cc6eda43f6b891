"""Settings that every training shares, and their checks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from console.errors import InputError
from console.ranges import Count, NotNegative, Positive, Share, check_ranges
from engines.chat.options import ChatTemplateKwargs
from engines.chat.template import checked_kwargs
from trainer.training.processes import check_sharding, n_processes

if TYPE_CHECKING:
    from collections.abc import Mapping

OptionsT = TypeVar("OptionsT", bound="TrainingOptions")


@dataclass(frozen=True)
class TrainingOptions:
    """How long and how fast to train."""

    learning_rate: Positive
    """The peak; it falls to a tenth along a cosine."""
    epochs: Count = 1
    """Times that every example is seen."""
    batch_size: Count = 16
    """Examples an optimiser step, over all processes."""
    micro_batch_size: Count = 2
    """Examples in a device's memory at once; more is faster and takes more memory."""
    max_length: Count = 1024
    """Tokens of prompt and answer; an example that is longer is left out: its end, a judgment's score for one, would be
    cut off."""
    warmup_share: Share = 0.1
    """The share of the steps in which the learning rate rises."""
    save_minutes: NotNegative = 30.0
    """How old the saved state, from which a training that was killed goes on, gets at most; 0 saves none."""
    chat_template_kwargs: ChatTemplateKwargs = field(default_factory=dict)
    """Variables of the model's chat template, e.g. '{"enable_thinking": false}'; the new model keeps them."""


def check_options(options: TrainingOptions) -> None:
    """Raise InputError where a setting that all trainings have is out of range."""
    checked_kwargs(options.chat_template_kwargs)
    check_ranges(options)
    check_batch(options, n_processes())
    check_sharding()


def with_template(options: OptionsT, kwargs: Mapping[str, Any]) -> OptionsT:
    """Return the settings of a run's training, whose template is that with which the run asks and judges.

    Raises InputError where they have one of their own: then the model would be asked otherwise than it learnt.
    """
    if options.chat_template_kwargs not in ({}, dict(kwargs)):
        raise InputError("chat_template_kwargs are one choice for a run: set them beside the model, not in a training")
    return replace(options, chat_template_kwargs=dict(kwargs))


def check_batch(options: TrainingOptions, processes: int) -> None:
    """Raise InputError where the examples of an optimiser step cannot be shared out evenly."""
    if options.batch_size % (options.micro_batch_size * processes):
        times = f" times {processes} processes" if processes > 1 else ""
        raise InputError(
            f"batch_size ({options.batch_size}) must be a multiple of micro_batch_size "
            f"({options.micro_batch_size}){times}"
        )
