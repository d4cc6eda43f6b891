"""The saved state of a training, from which a killed training continues.

transformers writes the state (weights, optimiser, learning rate, random numbers, position in the data) to checkpoint-N
in the training's work folder. A small file is written last. It marks the state as whole and names its training.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from accelerate.utils import broadcast_object_list
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import Trainer, TrainerCallback

from console.progress import say
from records.keys import content_key
from records.rows import Row
from records.store import set_aside
from trainer.training.lora.adapter import REFERENCE
from trainer.training.processes import is_first

STATE = "state.json"
BESIDE = "beside.safetensors"
"""The weights of the module that learns beside the model."""


class State(Row, frozen=True, kw_only=True):
    """Marks a saved state as whole and names its training. It is written last."""

    key: str
    step: int


@dataclass(frozen=True)
class SavedState:
    """A whole state on disk."""

    step: int
    folder: Path


@dataclass(frozen=True)
class StatePlan:
    """Identifies a training run and how often its state is saved."""

    key: str
    """A content key of the parent, data and settings. It is known on the first process only."""
    minutes: float
    beside: nn.Module | None
    """The module that learns beside the model."""

    @classmethod
    def of(
        cls, trainer: Trainer, options: dict[str, Any], minutes: float, beside: nn.Module | None
    ) -> StatePlan | None:
        """Return how to save the state of a training, or None if it is not saved, because `minutes` is 0."""
        if not minutes:
            return None
        deciding = {name: value for name, value in options.items() if name != "save_minutes"}
        return cls(_key(trainer, deciding, beside) if is_first() else "", minutes, beside)


def newest_state(trainer: Trainer, plan: StatePlan) -> SavedState | None:
    """Return the last whole state of this training, the same on every process, and load the module beside the model.

    States of another training in the same folder are set aside.
    """
    newest = [_newest(Path(trainer.args.output_dir), plan.key) if is_first() else None]
    broadcast_object_list(newest)
    if newest[0] is not None and plan.beside is not None:
        plan.beside.load_state_dict(load_file(newest[0].folder / BESIDE))
    return newest[0]


def saved_step(work: Path) -> int:
    """Return the steps behind the last whole state in a training's work folder, whichever training's it is, or 0."""
    return max((state.step for folder in work.glob("checkpoint-*") if (state := _state_in(folder))), default=0)


class StateSaver(TrainerCallback):  # type: ignore[misc]
    """Saves the state whenever the last one is older than `plan.minutes`.

    A state whose loss is not a number is never saved, because such a loss ends the training first.
    """

    def __init__(self, plan: StatePlan) -> None:
        self.plan, self.saved_s = plan, 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock."""
        self.saved_s = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Ask for a save if one is due, on all processes or on none."""
        due = [state.global_step < state.max_steps and time.monotonic() - self.saved_s >= 60 * self.plan.minutes]
        broadcast_object_list(due)
        control.should_save = due[0]

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Mark the state as whole and start the clock again."""
        if is_first():
            _finish(Path(args.output_dir) / f"checkpoint-{state.global_step}", state.global_step, self.plan)
        self.saved_s = time.monotonic()


def _key(trainer: Trainer, options: dict[str, Any], beside: nn.Module | None) -> str:
    parent = Path(trainer.model.config.name_or_path)
    # sizes and times stand for the parent's weights, which take long to hash
    stamps = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in sorted(parent.glob("*"))]
    extra = getattr(beside, "options", None)
    if trainer.eval_dataset is not None:
        options |= {"validating": _keys(trainer.eval_dataset)}
    made_of = (type(trainer).__name__, options, extra, trainer.args.seed, str(parent), stamps)
    return content_key(made_of, _keys(trainer.train_dataset))


def _keys(data: Any) -> list[str]:
    # the last digits of a reference's log-probabilities depend on the number of threads
    names = [name for name in data.column_names if not name.startswith("ref_")]
    return [content_key(example) for example in data.select_columns(names)]


def _finish(folder: Path, step: int, plan: StatePlan) -> None:
    if plan.beside is not None:
        save_file(plan.beside.state_dict(), folder / BESIDE)
    (folder / "training_args.bin").unlink(missing_ok=True)  # a pickle, which no one should have to trust
    # transformers would load this frozen copy alone, and not the adapter that learns
    shutil.rmtree(folder / REFERENCE, ignore_errors=True)
    (folder / STATE).write_bytes(msgspec.json.encode(State(key=plan.key, step=step)))


def _newest(work: Path, key: str) -> SavedState | None:
    states = [(folder, _state_in(folder)) for folder in work.glob("checkpoint-*")]
    ours = [SavedState(state.step, folder) for folder, state in states if state is not None and state.key == key]
    if ours:
        return max(ours, key=lambda saved: saved.step)
    if any(state is not None for _, state in states):
        say(f"{work}: set aside, it is the state of another training (other data, settings or parent)")
        set_aside(work)
    return None


def _state_in(folder: Path) -> State | None:
    try:
        return msgspec.json.decode((folder / STATE).read_bytes(), type=State)
    except (OSError, msgspec.DecodeError):
        return None
