"""The settings of GRPO and RLOO, and their checks before anything is loaded."""

import math
from dataclasses import dataclass
from typing import Literal

from console.errors import InputError
from console.ranges import Count, Couple, NotNegative, Positive, ShareAbove0
from engines.local.vllm.installed import check_installed, has_gpu
from trainer.training.options import TrainingOptions, check_options
from trainer.training.processes import n_processes


@dataclass(frozen=True)
class GRPOOptions(TrainingOptions):
    """Settings of the training. An example is one answer, and the answers to one prompt are a group."""

    learning_rate: Positive = 1e-6
    epochs: Count = 1
    """Passes over the prompts."""
    batch_size: Count = 64
    """Answers per optimiser step, over all processes."""
    micro_batch_size: Count = 4
    """Answers in a device's memory at once while training."""
    max_length: Count = 1024
    """Tokens of prompt and answer. A prompt that leaves no room for response_length is left out."""
    method: Literal["grpo", "rloo"] = "grpo"
    """grpo: an answer's advantage is its reward less the group's mean, over the group's standard deviation. rloo: its
    reward less the mean of the others."""
    group_size: Couple = 8
    """Answers to each prompt."""
    beta: NotNegative = 0.04
    """The pull towards the model to start from. It is the weight of the KL divergence per token in the loss (grpo),
    or per answer in the reward (rloo). With 0 that model is not loaded again, and no divergence is known."""
    response_length: Count = 256
    """Tokens of an answer. A longer one is cut off there."""
    temperature: Positive = 1.0
    """The temperature of the answers. Training uses probabilities at this temperature too."""
    top_p: ShareAbove0 = 1.0
    """Top-p of the answers."""
    rollout_engine: Literal["auto", "transformers", "vllm"] = "auto"
    """The engine that draws the answers: transformers, or vllm in this process through TRL. auto is transformers."""

    @property
    def prompts_per_step(self) -> int:
        """The number of groups in an optimiser step."""
        return self.batch_size // self.group_size

    @property
    def n_frozen(self) -> int:
        """Further copies of the model in memory: a reference, which beside adapters is the model without them."""
        return int(self.beta > 0 and not self.lora.r)


def check_grpo(options: GRPOOptions, n_prompts: int, more_prompts: str = "give more prompts") -> None:
    """Raise InputError if a setting is out of range or the batches do not divide, EngineError if there is no vLLM.

    `more_prompts` is the advice if there are too few for a step.
    """
    check_options(options)
    _check_groups(options, n_prompts, more_prompts)
    processes = n_processes()
    if options.response_length >= options.max_length:
        raise InputError(
            f"--response-length ({options.response_length}) must be below --max-length "
            f"({options.max_length}), which counts the prompt too"
        )
    if options.rollout_engine == "vllm":
        if options.lora.r:
            raise InputError("vLLM cannot follow an adapter in training: leave out --rollout-engine, or --lora.r")
        if not has_gpu():  # TRL asks for a CUDA device when it starts vLLM
            raise InputError("--rollout-engine vllm needs a GPU in trainer.grpo: leave it out")
        check_installed()
        if processes > 1:
            raise InputError("--rollout-engine vllm works only if one process trains: train in one, or leave it out")


def _check_groups(options: GRPOOptions, n_prompts: int, more_prompts: str) -> None:
    """Raise InputError if a step has no whole groups, or there are too few prompts for one."""
    processes = n_processes()
    if options.batch_size % (options.group_size * processes):
        times = f" times {processes} processes" if processes > 1 else ""
        unit = math.lcm(options.group_size, options.micro_batch_size) * processes
        most = min(options.batch_size, n_prompts * options.group_size)  # no more than there are prompts for
        raise InputError(
            f"--batch-size ({options.batch_size}) must be a multiple of --group-size ({options.group_size}){times}, "
            "because a step learns from whole groups of answers to a prompt; try "
            f"--batch-size {max(most // unit, 1) * unit}"
        )
    if n_prompts < options.prompts_per_step:
        raise InputError(
            f"a step needs {options.prompts_per_step} prompts (--batch-size over --group-size), and there are "
            f"{n_prompts}: lower --batch-size, or {more_prompts}"
        )
