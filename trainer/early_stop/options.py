"""The settings of early stopping, and of python -m trainer.early_stop."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from console.command import Flags, Given
from console.ranges import Count, ShareBelow1, check_ranges
from engines.options import EngineOptions, SharedEngineOptions
from judges.options import JudgeOptions

PROMPTS = "prompts.jsonl"
"""In a round's folder early_stop/: the prompts that its checkpoints were compared on."""
PAIRWISE = JudgeOptions(rubric="pairwise", samples=1)


@dataclass(frozen=True)
class EarlyStopOptions:
    """When a training is stopped, and on how many prompts."""

    every_n_steps: Count = 200
    """Optimiser steps between two checkpoints, while training."""
    n_prompts: Count = 253
    """The most prompts to compare on. They are none of the reported ones."""
    patience: Count = 1
    """Stop after this many checkpoints in a row that do not win."""
    min_win_rate: ShareBelow1 = 0.5
    """A checkpoint wins if it is preferred on more than this share of the prompts. A tie counts half."""


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Pick a checkpoint."""

    folder: Given = None
    """A folder of checkpoints step-N, or a run."""
    prompts: Path | None = None
    """Prompts that nothing learns from or reports on. The default is the iteration's early_stop/prompts.jsonl."""
    answer_tokens: Count = 256
    """The longest answer of a checkpoint, in tokens. --max-new-tokens is the judge's."""
    engine: SharedEngineOptions = field(default_factory=EngineOptions)
    judge: Annotated[JudgeOptions, tyro.conf.OmitArgPrefixes] = PAIRWISE
    stop: Annotated[EarlyStopOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=EarlyStopOptions)


def check_options(options: EarlyStopOptions) -> None:
    """Raise InputError if a setting is out of range."""
    check_ranges(options)
