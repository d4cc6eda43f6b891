"""The settings of python -m experiments.rlp_truth."""

from dataclasses import dataclass, field
from pathlib import Path

from console.command import Flags
from console.ranges import Count
from console.writing import OutFolder
from experiments.rlp_truth.arms import ARMS, Size


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Run reward learning on policy where the truth is known."""

    seeds: Count = 5
    """Repeat with N seeds, from --seed on."""
    arms: str = ",".join(ARMS)
    """The names of the arms, separated by commas."""
    size: Size = field(default_factory=Size)
    out: OutFolder = Path("runs/rlp_truth")
    """The folder for models, rows and results."""
