"""Checkpoints that a training goes on from: a policy's folder that also has the value model and the optimiser.

All is safetensors and JSON. There is no generator to keep: every draw, and every order, has a seed that the step fixes.
"""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import torch

from engines.models import FLOAT32
from records.store import set_aside, write_atomic
from trainer.ppo.actor import ActorCritic
from trainer.training.checkpoints import MANIFEST, Checkpoints, Manifest, checkpoints_in, manifest_of, seal
from trainer.training.saving import in_dtype, name_dtype, saved_dtype

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

VALUE, OPTIMISER, PROGRESS = "value.safetensors", "optimizer.safetensors", "progress.json"
MASTER = "float32.safetensors"
"""The policy's weights as they are trained, where they are saved in another type."""


class Progress(msgspec.Struct, frozen=True):
    """How far a training is, besides its weights."""

    step: int = 0
    kl_coef: float = 0.0
    n_unrewarded: int = 0
    """Steps in a row, up to this one, in which no answer got a reward."""


def step_name(step: int) -> str:
    """Return the name of a step's checkpoint."""
    return f"step-{step:06d}"


def newest_state(checkpoints: Checkpoints) -> Path | None:
    """Return the last whole checkpoint of this training that it can go on from, or None."""
    found = [path for path in checkpoints_in(checkpoints.folder, checkpoints.key) if (path / OPTIMISER).exists()]
    return found[-1] if found else None


def save_state(
    checkpoints: Checkpoints,
    actor: ActorCritic,
    optimiser: torch.optim.Optimizer,
    tokenizer: "PreTrainedTokenizerBase",
    progress: Progress,
) -> None:
    """Write a checkpoint, complete or not at all; of the earlier ones the policy is left, and no more."""
    from safetensors.torch import save_file, save_model

    out = checkpoints.folder / step_name(progress.step)
    earlier = checkpoints_in(checkpoints.folder, checkpoints.key)
    set_aside(out)
    unfinished = out.with_name(f"{out.name}.tmp")
    write_policy(actor, tokenizer, unfinished)
    if saved_dtype(actor.policy) != FLOAT32:
        save_model(actor.policy, str(unfinished / MASTER))
    save_model(actor.value, str(unfinished / VALUE))
    save_file(_tensors_of(actor, optimiser), unfinished / OPTIMISER)
    (unfinished / PROGRESS).write_bytes(msgspec.json.encode(progress))
    seal(unfinished, out, progress.step, checkpoints.key)
    for folder in earlier:
        if folder != out:
            _keep_policy(folder)


def write_policy(actor: ActorCritic, tokenizer: "PreTrainedTokenizerBase", folder: Path) -> None:
    """Write the policy and its tokenizer to `folder`, which is emptied first; the type is that of the parent."""
    dtype = saved_dtype(actor.policy)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    state = None if dtype == FLOAT32 else in_dtype(actor.policy.state_dict(), dtype)
    actor.policy.save_pretrained(folder, state_dict=state)
    name_dtype(folder, dtype)
    tokenizer.save_pretrained(folder)


def load_state(folder: Path, actor: ActorCritic, optimiser: torch.optim.Optimizer) -> Progress:
    """Give the models and the optimiser the state in `folder`, from which the policy is; return how far it is."""
    from safetensors.torch import load_file, load_model

    load_model(actor.value, str(folder / VALUE))
    if (folder / MASTER).exists():
        load_model(actor.policy, str(folder / MASTER))
    tensors = load_file(folder / OPTIMISER)
    for name, parameter in actor.named_parameters():
        mine = {key.rpartition("/")[2]: value for key, value in tensors.items() if key.rpartition("/")[0] == name}
        if mine:
            # Adam counts its steps on the processor, wherever the weights are
            optimiser.state[parameter] = {
                key: value if key == "step" else value.to(parameter.device) for key, value in mine.items()
            }
    return msgspec.json.decode((folder / PROGRESS).read_bytes(), type=Progress)


def _tensors_of(actor: ActorCritic, optimiser: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    return {
        f"{name}/{key}": value
        for name, parameter in actor.named_parameters()
        for key, value in optimiser.state.get(parameter, {}).items()
    }


def _keep_policy(folder: Path) -> None:
    """Delete what only a training needs; the manifest goes first, so that the folder is whole at any moment."""
    made = manifest_of(folder)
    if made is None:
        return
    extra = (VALUE, OPTIMISER, PROGRESS, MASTER)
    files = {name: n_bytes for name, n_bytes in made.files.items() if name not in extra}
    manifest = Manifest(step=made.step, key=made.key, files=files)
    write_atomic(folder / MANIFEST, msgspec.json.encode(manifest))
    for name in extra:
        (folder / name).unlink(missing_ok=True)
