"""Saves a model in training: its weights in the data type of its parent, at the end and as checkpoints on the way."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list
from torch import Tensor
from transformers import PreTrainedModel, Trainer, TrainerCallback

from console.errors import InputError
from console.progress import say
from engines.models import FLOAT32, checkpoint_dtype
from records.store import set_aside
from trainer.training.checkpoints import Checkpoints, flaw_of, manifest_of, seal
from trainer.training.lora.adapter import is_adapted
from trainer.training.lora.folder import finish_adapter
from trainer.training.memory.float32 import wide_weights
from trainer.training.sharding import tied

CLASSIFIER = "ForSequenceClassification"
IN_TRAINING = (FLOAT32, "bfloat16")
"""The types of weights that learn."""


def write_weights(trainer: Trainer, folder: Path, *, merge: bool = False) -> None:
    """Save the model and its tokenizer as safetensors and JSON to `folder`, which is emptied first.

    Of a model with an adapter only that is saved, with a link to its base, or with `merge` the sum of both.

    Weights are trained in float32 and saved in the data type of the parent model. A reward model stays in float32,
    because rewards are compared to their last digits. Every process must call this, because each may hold a part of
    the weights. The first process writes.
    """
    first = trainer.is_world_process_zero()
    if first:
        shutil.rmtree(folder, ignore_errors=True)
    dtype = saved_dtype(trainer.model)
    with wide_weights(trainer), _saving_in(trainer, dtype):
        trainer.save_model(str(folder))
    if first:
        name_dtype(folder, dtype)
        (folder / "training_args.bin").unlink(missing_ok=True)  # a pickle, which no one should have to trust
        if is_adapted(trainer.model):
            finish_adapter(folder, merge=merge)


def saved_dtype(model: PreTrainedModel) -> str:
    """Return the data type to save a trained model in: that of the folder it was loaded from."""
    if type(model).__name__.endswith(CLASSIFIER) or is_adapted(model):
        return FLOAT32
    return checkpoint_dtype(Path(model.config.name_or_path))


def in_dtype(state: dict[str, Tensor], dtype: str) -> dict[str, Tensor]:
    """Return the trained weights, float32 or bfloat16, in `dtype` on the CPU. Tied weights stay one tensor."""
    rounded: dict[tuple[int, torch.Size], Tensor] = {}
    for tensor in state.values():
        if tensor.dtype in (torch.float32, torch.bfloat16) and tensor.dtype != getattr(torch, dtype):
            # tied weights share an address: rounded once, they stay tied
            place = (tensor.data_ptr(), tensor.shape)
            rounded[place] = rounded.get(place, tensor.detach().to("cpu", getattr(torch, dtype)))
    return {name: rounded.get((tensor.data_ptr(), tensor.shape), tensor) for name, tensor in state.items()}


def name_dtype(folder: Path, dtype: str) -> None:
    """Write the data type of the weights to config.json: transformers writes that of the model in memory."""
    path = folder / "config.json"
    if not path.exists():  # of an adapter
        return
    text = path.read_text(encoding="utf-8")
    config = json.loads(text)
    for settings in (config, *(part for part in config.values() if isinstance(part, dict))):
        if settings.get("dtype") in IN_TRAINING:
            settings["dtype"] = dtype
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


@contextmanager
def _saving_in(trainer: Trainer, dtype: str) -> Iterator[None]:
    """Save the trainer's weights in `dtype`, and tied ones once, whenever it saves them inside the block."""
    if is_adapted(trainer.model):  # only the adapter is saved, in the type that it learns in
        yield
        return
    save = trainer._save

    def rounded(output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        model = trainer.accelerator.unwrap_model(trainer.model)
        # accelerate gathers sharded weights by name, so that tied ones are two tensors
        state = model.state_dict() if state_dict is None else tied(model, state_dict)
        save(output_dir, in_dtype(state, dtype))

    # An attribute of the instance hides the method. Deleting the attribute brings the method back.
    trainer._save = rounded
    try:
        yield
    finally:
        del trainer._save


class CheckpointSaver(TrainerCallback):  # type: ignore[misc]
    """Saves a checkpoint every so many steps. Raises InputError for fewer than 1."""

    def __init__(self, trainer: Trainer, checkpoints: Checkpoints, *, merge: bool = False) -> None:
        if checkpoints.every_n_steps < 1:
            raise InputError(f"every_n_steps must be at least 1, not {checkpoints.every_n_steps}")
        self.trainer, self.checkpoints, self.merge = trainer, checkpoints, merge

    # At the beginning of the next step, because by then the loss of the last one is known to be a number.
    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Save the weights of the step before."""
        if state.global_step and state.global_step % self.checkpoints.every_n_steps == 0:
            _save(self.trainer, self.checkpoints, state.global_step, merge=self.merge)


def _save(trainer: Trainer, checkpoints: Checkpoints, step: int, *, merge: bool) -> None:
    out = checkpoints.folder / f"step-{step:06d}"
    manifest = manifest_of(out)
    is_there = [manifest is not None and manifest.key == checkpoints.key and flaw_of(out) is None]
    broadcast_object_list(is_there)  # all save or none: the first may have written before another looks
    if is_there[0]:
        return
    if out.exists() and trainer.is_world_process_zero():
        say(f"{out}: set aside, {flaw_of(out) or 'it belongs to another training'}; writing it again")
        set_aside(out)
    partial = out.with_name(f"{out.name}.tmp")
    write_weights(trainer, partial, merge=merge)
    if trainer.is_world_process_zero():
        seal(partial, out, step, checkpoints.key)
