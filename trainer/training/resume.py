"""The state of a training on its way: one that was killed goes on at the step that was saved last.

transformers writes the state (weights, optimiser, learning rate, random numbers, place in the data) to checkpoint-N in
the training's work folder. A file that is written last says that it is whole, and of which training it is.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from console.progress import say
from records.keys import content_key
from records.rows import Row
from records.store import set_aside
from trainer.training.processes import is_first, is_sharded

if TYPE_CHECKING:
    from torch import nn
    from transformers import Trainer

STATE = "state.json"
BESIDE = "beside.safetensors"
"""The weights of what learns beside the model."""


class State(Row, frozen=True, kw_only=True):
    """What a saved state is of; it is written last."""

    key: str
    step: int


@dataclass(frozen=True)
class Saved:
    """A whole state."""

    step: int
    folder: Path


@dataclass(frozen=True)
class Keeping:
    """Of which training a state is, and how often it is saved."""

    key: str
    """The training: its parent, data and settings; on the first process."""
    minutes: float
    beside: nn.Module | None
    """What learns beside the model."""

    @classmethod
    def of(cls, trainer: Trainer, options: dict[str, Any], minutes: float, beside: nn.Module | None) -> Keeping | None:
        """Return how to keep the state of a training, or None where none is kept: `minutes` is 0, or it is sharded."""
        if not minutes or is_sharded():
            return None
        deciding = {name: value for name, value in options.items() if name != "save_minutes"}
        return cls(_key(trainer, deciding, beside) if is_first() else "", minutes, beside)


def work_of(out: Path) -> Path:
    """Return the folder where the training that makes `out` keeps its state."""
    return out.with_name(f"{out.name}.state")


def newest_state(trainer: Trainer, keeping: Keeping) -> Saved | None:
    """Return the last whole state of this training, the same on every process, and read what learns beside the model.

    States of another training in the same folder are set aside.
    """
    from accelerate.utils import broadcast_object_list

    found = [_newest(Path(trainer.args.output_dir), keeping.key) if is_first() else None]
    broadcast_object_list(found)
    if found[0] is not None and keeping.beside is not None:
        from safetensors.torch import load_file

        keeping.beside.load_state_dict(load_file(found[0].folder / BESIDE))
    return found[0]


def keeper(trainer: Trainer, keeping: Keeping) -> Any:
    """Return a TrainerCallback that saves the state where the last one is older than `keeping.minutes`.

    A step whose loss is not a number is never saved: it has ended the training before.
    """
    from accelerate.utils import broadcast_object_list
    from transformers import TrainerCallback

    class Keeper(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.saved_s = time.monotonic()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            due = [state.global_step < state.max_steps and time.monotonic() - self.saved_s >= 60 * keeping.minutes]
            broadcast_object_list(due)  # all processes save, or none
            control.should_save = due[0]

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if is_first():
                _finish(Path(args.output_dir) / f"checkpoint-{state.global_step}", state.global_step, keeping)
            self.saved_s = time.monotonic()

    return Keeper()


def _key(trainer: Trainer, options: dict[str, Any], beside: nn.Module | None) -> str:
    parent = Path(trainer.model.config.name_or_path)
    stamps = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in sorted(parent.glob("*"))]
    # what a reference says differs in its last digits from one number of threads to another
    names = [name for name in trainer.train_dataset.column_names if not name.startswith("ref_")]
    extra = getattr(beside, "options", None)
    made_of = (type(trainer).__name__, options, extra, trainer.args.seed, str(parent), stamps)
    return content_key(made_of, [content_key(row) for row in trainer.train_dataset.select_columns(names)])


def _finish(folder: Path, step: int, keeping: Keeping) -> None:
    if keeping.beside is not None:
        from safetensors.torch import save_file

        save_file(keeping.beside.state_dict(), folder / BESIDE)
    (folder / "training_args.bin").unlink(missing_ok=True)  # a pickle, which no one should have to trust
    (folder / STATE).write_bytes(msgspec.json.encode(State(key=keeping.key, step=step)))


def _newest(work: Path, key: str) -> Saved | None:
    states = [(folder, _state_in(folder)) for folder in work.glob("checkpoint-*")]
    mine = [Saved(state.step, folder) for folder, state in states if state is not None and state.key == key]
    if mine:
        return max(mine, key=lambda saved: saved.step)
    if any(state is not None for _, state in states):
        say(f"{work}: set aside, it is the state of another training: other data, settings or parent")
        set_aside(work)
    return None


def _state_in(folder: Path) -> State | None:
    try:
        return msgspec.json.decode((folder / STATE).read_bytes(), type=State)
    except (OSError, msgspec.DecodeError):
        return None
