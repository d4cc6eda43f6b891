"""The settings of python -m experiments.eft."""

from dataclasses import dataclass
from pathlib import Path

from console.command import Flags, Given
from console.ranges import Count, Positive
from console.writing import OutFolder


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Measure a judge before and after EFT."""

    file: Given = None
    """Ranked answers: OASST trees, or any other format of trainer.eft."""
    model: str = "smollm2"
    """The model to start from."""
    seeds: Count = 3
    """Repeat with N splits, from --seed on."""
    learning_rate: Positive = 1e-4
    batch_size: Count = 8
    """Examples per optimiser step. With few ratings a large batch leaves too few steps to learn in."""
    epochs: Count = 1
    max_length: Count = 1024
    """Tokens per example. A longer one loses its end, and a judgment its score, so that it teaches nothing."""
    out: OutFolder = Path("runs/eft_experiment")
    """The folder for data, models and results."""
