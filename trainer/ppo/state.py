"""Checkpoints that a training resumes from: a policy's folder that also holds the value model and the optimiser.

All files are safetensors and JSON. No random generator is saved, because the step seeds every draw and every order.
"""

import shutil
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors.torch import load_file, load_model, save_file
from transformers import PreTrainedTokenizerBase

from engines.models import FLOAT32
from records.store import set_aside
from trainer.ppo.actor import ActorCritic
from trainer.ppo.sharded import part_like
from trainer.training.checkpoints import (
    MASTER,
    OPTIMISER,
    PROGRESS,
    VALUE,
    Checkpoints,
    checkpoints_in,
    keep_policy,
    seal,
)
from trainer.training.lora.adapter import is_adapted
from trainer.training.lora.folder import finish_adapter
from trainer.training.memory.float32 import Float32Weights, wide
from trainer.training.processes import is_first
from trainer.training.saving import in_dtype, name_dtype, saved_dtype
from trainer.training.sharding import whole, whole_state

NUMBER = "#"
"""Marks a part of an optimizer's state that is a number and no tensor."""


class Progress(msgspec.Struct, frozen=True):
    """The progress of a training, apart from its weights."""

    step: int = 0
    kl_coef: float = 0.0
    n_unrewarded: int = 0
    """Steps in a row, up to this one, in which no answer got a reward."""


def step_name(step: int) -> str:
    """Return the name of a step's checkpoint."""
    return f"step-{step:06d}"


def newest_state(checkpoints: Checkpoints) -> Path | None:
    """Return the last whole checkpoint that this training can resume from, or None."""
    states = [path for path in checkpoints_in(checkpoints.folder, checkpoints.key) if (path / OPTIMISER).exists()]
    return states[-1] if states else None


def save_state(
    checkpoints: Checkpoints,
    actor: ActorCritic,
    optimiser: torch.optim.Optimizer,
    tokenizer: PreTrainedTokenizerBase,
    progress: Progress,
    kept: Float32Weights | None = None,
) -> None:
    """Write a checkpoint completely or not at all, and reduce the earlier ones to their policies.

    If the weights are sharded every process must call it, and the first one writes.
    """
    out = checkpoints.folder / step_name(progress.step)
    earlier = checkpoints_in(checkpoints.folder, checkpoints.key)
    unfinished = out.with_name(f"{out.name}.tmp")
    master = whole_state(actor.policy) if saved_dtype(actor.policy) != FLOAT32 else None
    value, tensors = whole_state(actor.value), _tensors_of(actor, optimiser)
    if is_adapted(actor.value.body):  # its frozen weights are those of its base
        value = {name: value[name] for name, part in actor.value.named_parameters() if part.requires_grad}
    if is_first():
        set_aside(out)  # of another training, or half-written
    with wide(kept):
        write_policy(actor, tokenizer, unfinished)
    if not is_first():
        return
    if master is not None:
        save_file(_untied(master), unfinished / MASTER)
    save_file(_untied(value), unfinished / VALUE)
    save_file(tensors, unfinished / OPTIMISER)
    (unfinished / PROGRESS).write_bytes(msgspec.json.encode(progress))
    seal(unfinished, out, progress.step, checkpoints.key)
    for folder in earlier:
        if folder != out:
            keep_policy(folder)


def write_policy(actor: ActorCritic, tokenizer: PreTrainedTokenizerBase, folder: Path, *, merge: bool = False) -> None:
    """Write the policy and its tokenizer to `folder`, which is emptied first, in the data type of the parent.

    Of an adapted policy only the adapter is written, or with `merge` whole weights. Every process must call it, because
    each may hold a part of the weights. The first process writes.
    """
    dtype, state = saved_dtype(actor.policy), whole_state(actor.policy)
    if not is_first():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if is_adapted(actor.policy):
        actor.policy.save_pretrained(folder, selected_adapters=["default"], state_dict=state)
        tokenizer.save_pretrained(folder)
        finish_adapter(folder, merge=merge)
        return
    actor.policy.save_pretrained(folder, state_dict=state if dtype == FLOAT32 else in_dtype(state, dtype))
    name_dtype(folder, dtype)
    tokenizer.save_pretrained(folder)


def load_weights(folder: Path, actor: ActorCritic) -> None:
    """Load the models from `folder`, from which the policy was loaded. Weights are sharded only after it."""
    load_model(actor.value, str(folder / VALUE), strict=not is_adapted(actor.value.body))
    if (folder / MASTER).exists():
        load_model(actor.policy, str(folder / MASTER))


def load_progress(folder: Path, actor: ActorCritic, optimiser: torch.optim.Optimizer) -> Progress:
    """Load the optimiser's state from `folder` and return the progress."""
    tensors = load_file(folder / OPTIMISER)
    for name, parameter in actor.named_parameters():
        state = {key.rpartition("/")[2]: value for key, value in tensors.items() if key.rpartition("/")[0] == name}
        if state:
            optimiser.state[parameter] = {
                key.removesuffix(NUMBER): _restored(key, value, parameter) for key, value in state.items()
            }
    return msgspec.json.decode((folder / PROGRESS).read_bytes(), type=Progress)


def _restored(key: str, value: torch.Tensor, parameter: torch.Tensor) -> Any:
    """Return a part of an optimizer's state as it was: a tensor, or a plain number."""
    if key.endswith(NUMBER):
        return value.item()
    # Adam counts its steps on the CPU, whatever the device of the weights
    return value if key == "step" else part_like(value.to(parameter.device), parameter)


def _untied(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return each tensor once, under the first of its names: safetensors holds no tensor twice."""
    first = {id(tensor): name for name, tensor in reversed(state.items())}
    return {name: state[name].contiguous() for name in first.values()}


def _tensors_of(actor: ActorCritic, optimiser: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    tensors = {}
    for name, parameter in actor.named_parameters():
        for key, value in optimiser.state.get(parameter, {}).items():
            if isinstance(value, torch.Tensor):
                tensors[f"{name}/{key}"] = whole(value).contiguous()
            elif isinstance(value, int | float):  # safetensors holds tensors only
                tensors[f"{name}/{key}{NUMBER}"] = torch.tensor(value)
    return tensors
