"""The settings of python -m tui."""

from dataclasses import dataclass

from console.command import Flags, Given
from console.writing import OutFile


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Browse judged preference pairs."""

    source: Given = None
    """A run, an iteration's folder or a file of pairs. The default is the newest run."""
    codes: str | None = None
    """The meaning of labels, like 0=a,1=b,2=tie, if a is the first answer. 1, 2, a, b and tie are known."""
    screenshot: OutFile | None = None
    """Write a picture of the screen (120 x 40 cells) to this .svg file, then stop."""
