"""The settings that all trainings share, and their checks."""

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
    """The length and the speed of a training."""

    learning_rate: Positive
    """The peak. It falls to a tenth along a cosine."""
    epochs: Count = 1
    """Passes over the examples."""
    batch_size: Count = 16
    """Examples per optimiser step, over all processes."""
    micro_batch_size: Count = 2
    """Examples in a device's memory at once. More are faster and take more memory."""
    max_length: Count = 1024
    """Tokens of prompt and answer. A longer example is left out, because its end would be cut off, a judgment's score
    for one."""
    warmup_share: Share = 0.1
    """The share of the steps in which the learning rate rises."""
    save_minutes: NotNegative = 30.0
    """Minutes between saves of the state from which a killed training continues; 0 saves none."""
    chat_template_kwargs: ChatTemplateKwargs = field(default_factory=dict)
    """Variables of the model's chat template, e.g. '{"enable_thinking": false}'. The new model keeps them."""


def check_options(options: TrainingOptions) -> None:
    """Raise InputError if a setting that all trainings share is out of range."""
    checked_kwargs(options.chat_template_kwargs)
    check_ranges(options)
    check_batch(options, n_processes())
    check_sharding()


def with_template(options: OptionsT, kwargs: Mapping[str, Any]) -> OptionsT:
    """Return the settings of a run's training with the chat template variables of the run.

    Raises InputError if the settings have other variables, because the model would then be prompted differently from
    how it was trained.
    """
    if options.chat_template_kwargs not in ({}, dict(kwargs)):
        raise InputError("chat_template_kwargs hold for a whole run: set them beside the model, not in a training")
    return replace(options, chat_template_kwargs=dict(kwargs))


def check_batch(options: TrainingOptions, processes: int) -> None:
    """Raise InputError if the examples of an optimiser step cannot be shared out evenly."""
    if options.batch_size % (options.micro_batch_size * processes):
        times = f" times {processes} processes" if processes > 1 else ""
        raise InputError(
            f"batch_size ({options.batch_size}) must be a multiple of micro_batch_size "
            f"({options.micro_batch_size}){times}"
        )
