"""Model folders that are whole or recognised as not: the trained model, and checkpoints on the way to it.

A folder is written under another name, its manifest last, and then renamed. A checkpoint has the weights and the
tokenizer only: a training that was killed starts again, makes the same steps from the same seed, and writes only the
checkpoints that are not there yet.
"""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from console.errors import InputError
from console.progress import say
from engines.models import FLOAT32, checkpoint_dtype
from records.leftovers import ENDING, remove
from records.rows import Row
from records.store import set_aside

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, Trainer

MANIFEST = "manifest.json"
CLASSIFIER = "ForSequenceClassification"
STEP = re.compile(r"step-(\d+)")


class Manifest(Row, frozen=True, kw_only=True):
    """What a model folder holds; it is written last."""

    step: int
    """The optimiser's steps behind these weights."""
    key: str
    """What the training was: checkpoints of another one are not taken for this one's."""
    files: dict[str, int]
    """Bytes of each file."""


@dataclass(frozen=True)
class Checkpoints:
    """Where a training leaves its checkpoints, and how often."""

    folder: Path
    every_n_steps: int = 200
    """Optimiser steps (Self-Rewarding, section 3.1.4: 200)."""
    key: str = ""
    """Fixes the training: its parent, data, options and seed (records.keys.content_key)."""


def write_weights(trainer: "Trainer", folder: Path) -> None:
    """Save the model and its tokenizer as safetensors and JSON to `folder`, which is emptied first.

    The weights are trained in float32 and saved in the type of the model that the training began with; a reward model's
    stay as they are, because its numbers are compared to their last digits. Every process calls this: each may hold a
    part of the weights. The first one writes.
    """
    first = trainer.is_world_process_zero()
    if first:
        shutil.rmtree(folder, ignore_errors=True)
    dtype = saved_dtype(trainer.model)
    with _saving_in(trainer, dtype):
        trainer.save_model(str(folder))
    if first:
        name_dtype(folder, dtype)
        (folder / "training_args.bin").unlink(missing_ok=True)  # a pickle, which no one should have to trust


def saved_dtype(model: "PreTrainedModel") -> str:
    """Return the type in which a model in training is saved, from the folder that it was loaded from."""
    if type(model).__name__.endswith(CLASSIFIER) or hasattr(model, "peft_config"):
        return FLOAT32
    return checkpoint_dtype(Path(model.config.name_or_path))


def in_dtype(state: "dict[str, Tensor]", dtype: str) -> "dict[str, Tensor]":
    """Return float32 weights rounded to `dtype`, on the processor; weights that were one tensor still are."""
    import torch

    rounded: dict[tuple[int, torch.Size], Tensor] = {}
    for tensor in state.values():
        if tensor.dtype == torch.float32:
            place = (tensor.data_ptr(), tensor.shape)
            rounded[place] = rounded.get(place, tensor.detach().to("cpu", getattr(torch, dtype)))
    return {name: rounded.get((tensor.data_ptr(), tensor.shape), tensor) for name, tensor in state.items()}


def name_dtype(folder: Path, dtype: str) -> None:
    """Let the config.json in `folder` name the type of its weights: transformers writes that of the model in memory."""
    if dtype == FLOAT32:
        return
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    for settings in (config, *(part for part in config.values() if isinstance(part, dict))):
        if settings.get("dtype") == FLOAT32:
            settings["dtype"] = dtype
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


@contextmanager
def _saving_in(trainer: "Trainer", dtype: str) -> Iterator[None]:
    """Let the trainer round its weights to `dtype` where it saves them while the block runs."""
    if dtype == FLOAT32:
        yield
        return
    save = trainer._save

    def rounded(output_dir: str | None = None, state_dict: "dict[str, Tensor] | None" = None) -> None:
        state = trainer.accelerator.unwrap_model(trainer.model).state_dict() if state_dict is None else state_dict
        save(output_dir, in_dtype(state, dtype))

    trainer._save = rounded
    try:
        yield
    finally:
        del trainer._save


def seal(folder: Path, out: Path, step: int, key: str = "") -> None:
    """Write the manifest of a finished `folder` and give it its name `out`."""
    files = {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.name != MANIFEST}
    (folder / MANIFEST).write_bytes(msgspec.json.encode(Manifest(step=step, key=key, files=files)))
    folder.rename(out)


def manifest_of(folder: Path) -> Manifest | None:
    """Return the manifest of a model folder, or None where it has none that can be read."""
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError):
        return None


def flaw_of(folder: Path) -> str | None:
    """Return why a model folder is not whole, or None; the files' sizes are looked at, not their bytes."""
    manifest = manifest_of(folder)
    if manifest is None:
        return f"it has no {MANIFEST}, which is written last"
    for name, n_bytes in manifest.files.items():
        path = folder / name
        if not path.exists():
            return f"{name} is missing"
        if path.stat().st_size != n_bytes:
            return f"{name} has {path.stat().st_size} of {n_bytes} bytes"
    return None


def checkpoints_in(folder: Path, key: str | None = None) -> list[Path]:
    """Return the whole checkpoints in `folder` by their steps, with `key` only those of that training.

    Half-written ones are named on stderr and left out.
    """
    whole = []
    for path in sorted((path for path in folder.glob("step-*") if STEP.fullmatch(path.name)), key=_step):
        if flaw := flaw_of(path):
            say(f"{path}: left out, it is half-written: {flaw}")
        elif key is None or ((made := manifest_of(path)) and made.key == key):
            whole.append(path)
    return whole


def clear_unfinished(checkpoints: Checkpoints | None) -> None:
    """Remove the checkpoints that a killed training was writing; only the training's first process may call this."""
    for path in checkpoints.folder.glob(f"step-*{ENDING}") if checkpoints else ():
        remove(path)


def newest_checkpoint(checkpoints: Checkpoints | None) -> Path | None:
    """Return the last whole checkpoint of this training, or None."""
    found = checkpoints_in(checkpoints.folder, checkpoints.key) if checkpoints else []
    return found[-1] if found else None


def saver(trainer: "Trainer", checkpoints: Checkpoints) -> Any:
    """Return a TrainerCallback that saves a checkpoint every so many steps; raises InputError for fewer than 1."""
    if checkpoints.every_n_steps < 1:
        raise InputError(f"every_n_steps must be at least 1, not {checkpoints.every_n_steps}")
    from transformers import TrainerCallback

    class Saver(TrainerCallback):  # type: ignore[misc]
        # At the beginning of the next step, because by then the loss of the last one has been found to be a number.
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step and state.global_step % checkpoints.every_n_steps == 0:
                _save(trainer, checkpoints, state.global_step)

    return Saver()


def _save(trainer: "Trainer", checkpoints: Checkpoints, step: int) -> None:
    from accelerate.utils import broadcast_object_list

    out = checkpoints.folder / f"step-{step:06d}"
    made = manifest_of(out)
    is_there = [made is not None and made.key == checkpoints.key and flaw_of(out) is None]
    broadcast_object_list(is_there)  # all save or none: the first may have written before another looks
    if is_there[0]:
        return
    if out.exists() and trainer.is_world_process_zero():
        say(f"{out}: set aside, {flaw_of(out) or 'it is of another training'}; it is written again")
        set_aside(out)
    partial = out.with_name(f"{out.name}.tmp")
    write_weights(trainer, partial)
    if trainer.is_world_process_zero():
        seal(partial, out, step, checkpoints.key)


def _step(path: Path) -> int:
    match = STEP.fullmatch(path.name)
    return int(match[1]) if match else -1
