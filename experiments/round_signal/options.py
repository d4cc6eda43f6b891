"""The settings of python -m experiments.round_signal."""

from dataclasses import dataclass
from pathlib import Path

from console.command import Flags, Given
from console.ranges import Count


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Follow the signal through the rounds of a run."""

    folder: Given = None
    """The run: its folder, or its name under runs/."""
    labelled: Path | None = None
    """Answers that people compared, in any format of judges.calibrate (required)."""
    limit: Count | None = 24
    """Use the pairs of N prompts, drawn with --seed."""
    batch_size: Count = 8
    """Answers read at once."""
