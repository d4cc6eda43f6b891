"""The disk space that a run takes, by formula: what stays, and what a training needs on the way."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from console.output import counted
from engines.models import FLOAT32, checkpoint_dtype
from trainer.loop.plan.learning import PAIRS
from trainer.loop.plan.work import Work
from trainer.loop.recipe import Config
from trainer.training.memory.size import ModelSize

GB = 1e9
STATE_BYTES = 12
"""Of a learning parameter in a saved state: the float32 weight and AdamW's two moments."""
STATES = 3
"""Two stay, and a new one is whole before the oldest goes."""


@dataclass(frozen=True)
class DiskUse:
    """Bytes on disk."""

    n_iterations: int
    kept: float
    """Of the models and checkpoints that stay. The texts are small beside them."""
    on_the_way: float
    """The most that a training takes beside them until it is done."""


def disk_use(size: ModelSize, base: Path, works: Sequence[Work], config: Config, n_iterations: int) -> DiskUse:
    """Return the disk space of the iterations to make, from the size of the model in `base` and the stages."""
    width = 4 if checkpoint_dtype(base) == FLOAT32 else 2
    learning = config.lora.r * size.n_features if config.lora.r else size.n_parameters
    n_bytes = width * size.n_parameters if config.lora.merge or not config.lora.r else 4 * learning
    n_models = n_iterations
    if config.early_stop is not None:  # the best of them is hard-linked as the model
        n_models += sum(work.n_steps // config.early_stop.every_n_steps for work in works if work.stage.endswith(PAIRS))
    trainings = (config.sft, config.grpo if config.round.learn == "grpo" else config.dpo)
    saves = any(training.save_minutes for training in trainings)
    return DiskUse(n_iterations, n_models * n_bytes, STATES * STATE_BYTES * learning if saves else 0.0)


def told(use: DiskUse, folder: Path) -> str:
    """Return the disk space in a line, with what is free if that is less."""
    line = f"disk: {use.kept / GB:.1f} GB for the models of {counted(use.n_iterations, 'iterations')}"
    if use.on_the_way:
        line += f", and up to {use.on_the_way / GB:.1f} GB more in a training longer than save_minutes"
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    return line if free > use.kept + use.on_the_way else f"{line}; only {free / GB:.1f} GB are free"
