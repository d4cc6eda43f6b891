"""The settings that all trainings share, and their checks."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import tyro

from console.errors import InputError
from console.ranges import Count, CountOr0, NotNegative, Positive, Share, ShareBelow1, check_ranges
from engines.chat.options import ChatTemplateKwargs
from engines.chat.template import checked_kwargs
from trainer.training.memory.options import MemoryOptions, check_memory
from trainer.training.metrics.options import ReportTo
from trainer.training.processes import check_sharding, is_sharded, n_processes

if TYPE_CHECKING:
    from collections.abc import Mapping

LossOn = Literal["last", "all"]
"""The assistant's turns that a conversation's loss is on."""
OptionsT = TypeVar("OptionsT", bound="TrainingOptions")
LearningT = TypeVar("LearningT", bound="Learning")


@dataclass(frozen=True)
class LoraOptions:
    """Learn small adapters beside weights that stay as they are (LoRA: Hu et al. 2021, arXiv 2106.09685).

    The new model is the adapter and a link to its base. A model that is an adapter itself is trained further.
    """

    r: CountOr0 = 0
    """The rank of the adapters, often 8 to 64; 0 trains all weights."""
    alpha: Count = 32
    """An adapter's product counts alpha / r times."""
    dropout: ShareBelow1 = 0.0
    """The share of an adapter's inputs that is left out at random in training."""
    target_modules: tuple[str, ...] = ("all-linear",)
    """The layers that get an adapter, such as q_proj v_proj. all-linear: every linear one but the output."""
    quantize: Literal["none", "4bit"] = "none"
    """4bit: keep the frozen weights in four bits (QLoRA: Dettmers et al. 2023, arXiv 2305.14314). It needs a GPU and
    the package bitsandbytes."""
    merge: bool = False
    """Save whole weights with the adapter added to them, instead of the adapter."""


@dataclass(frozen=True, kw_only=True)
class Learning(MemoryOptions):
    """The settings of any training, PPO's too."""

    lora: Annotated[LoraOptions, tyro.conf.Suppress] = field(default_factory=LoraOptions)
    """Set by a command's own --lora.* or a recipe's [lora], for all its trainings."""


@dataclass(frozen=True)
class TrainingOptions(Learning):
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
    """The share of the steps in which the learning rate rises from 0, the rate of the first of them."""
    save_minutes: NotNegative = 30.0
    """Minutes between saves of the state from which a killed training continues; 0 saves none."""
    chat_template_kwargs: ChatTemplateKwargs = field(default_factory=dict)
    """Variables of the model's chat template, e.g. '{"enable_thinking": false}'. The new model keeps them."""
    report_to: ReportTo = "none"
    """A tracker that shows the training while it runs. Its package must be installed."""


@dataclass(frozen=True)
class ValidatedOptions(TrainingOptions):
    """Those of a training that can keep the model with the lowest loss on prompts that it does not learn."""

    validation_share: ShareBelow1 = 0.0
    """The share of prompts, drawn by the seed, whose examples are not learnt. The model of the step with the lowest
    loss on them is kept. 0 keeps the last model."""
    validation_steps: CountOr0 = 0
    """Optimiser steps from one measurement of this loss to the next; 0 takes a tenth of the training."""
    patience: CountOr0 = 0
    """Stop after this many measurements in a row without a lower loss; 0 trains to the end."""


def check_options(options: TrainingOptions) -> None:
    """Raise InputError if a setting that all trainings share is out of range."""
    checked_kwargs(options.chat_template_kwargs)
    check_ranges(options)
    check_sharding()
    check_together(options, n_processes(), is_sharded=is_sharded())


def check_together(options: TrainingOptions, processes: int, *, is_sharded: bool) -> None:
    """Raise InputError if settings do not fit together, or not to this number of processes and sharded weights."""
    check_batch(options, processes)
    check_lora(options.lora, is_sharded=is_sharded)
    check_memory(options, is_sharded=is_sharded, adapted=options.lora.r > 0)
    check_validation(options, is_sharded=is_sharded)


def check_validation(options: TrainingOptions, *, is_sharded: bool = False) -> None:
    """Raise InputError if the settings of validation do not fit together, or if the weights are sharded."""
    if not isinstance(options, ValidatedOptions):
        return
    if not options.validation_share:
        if options.patience or options.validation_steps:
            name = "patience" if options.patience else "validation-steps"
            raise InputError(f"--{name} is about the loss on held-out prompts; give --validation-share 0.05 too")
    elif is_sharded:
        raise InputError("--validation-share needs whole weights in each process; use a file without FSDP")


def check_lora(options: LoraOptions, *, is_sharded: bool = False) -> None:
    """Raise InputError if the settings of adapters do not fit together, or a package that they need is missing."""
    if not options.r:
        usual = LoraOptions()
        if given := [one.name for one in fields(usual) if getattr(options, one.name) != getattr(usual, one.name)]:
            flag = f"--lora.{given[0].replace('_', '-')}"
            raise InputError(
                f"{flag} is about adapters, and --lora.r is 0, which trains all weights: give their rank too, as in "
                f"--lora.r 16, or leave out {flag}"
            )
        return
    if is_sharded and options.quantize != "none":
        raise InputError("--lora.quantize 4bit needs whole weights in each process; use a file without FSDP")
    if not options.target_modules:
        raise InputError("--lora.target-modules names no layer; all-linear means every linear one")


def with_lora(options: LearningT, lora: LoraOptions) -> LearningT:
    """Return the settings of a training with the adapters of its command or recipe.

    Raises InputError if the settings have others, because one [lora] holds for all trainings.
    """
    if options.lora not in (LoraOptions(), lora):
        raise InputError("[lora] holds for all trainings: write it as a table of its own, not within another")
    return replace(options, lora=lora)


def deciding(options: Learning) -> dict[str, Any]:
    """Return the settings that a key of a training is made of: those of versions that had fewer, as far as it can be.

    A tracker changes no weight, nor does it matter if activations are computed again.
    """
    settings = asdict(options)
    unneeded = {"report_to", "activation_checkpointing"} | (set() if options.lora.r else {"lora"})
    usual = {field.name: field.default for field in fields(MemoryOptions)} | {"packing": False, "loss_on": "last"}
    unneeded |= set() if settings.get("validation_share") else {"validation_share", "validation_steps", "patience"}
    return {
        name: value
        for name, value in settings.items()
        if name not in unneeded and (name not in usual or value != usual[name])
    }


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
            f"--batch-size ({options.batch_size}) must be a multiple of --micro-batch-size "
            f"({options.micro_batch_size}){times}"
        )
