"""The settings of python -m experiments.known_truth."""

from dataclasses import dataclass, field
from pathlib import Path

from console.command import Flags
from console.ranges import Count
from console.writing import OutFolder, OutPicture
from experiments.known_truth.arms import ARMS
from experiments.world.sizes import Size


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Run the loop where the truth is known."""

    seeds: Count = 5
    """Repeat with N seeds, from --seed on."""
    arms: str = ",".join(ARMS)
    """The names of the arms, separated by commas."""
    size: Size = field(default_factory=Size)
    out: OutFolder = Path("runs/known_truth")
    """The folder for models, rows and results."""
    picture: OutPicture | None = None
    """Write the picture, a PNG, to this file."""
