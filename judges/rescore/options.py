"""The flags of python -m judges.rescore."""

from dataclasses import dataclass
from pathlib import Path

from console.command import Flags, Given
from console.ranges import Count, CountOr0, Share
from console.writing import OutRows
from judges.options import Aggregate, JudgeOptions


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Score stored replies again."""

    file: Given = None
    """Judgments or comparisons."""
    rubric: str | None = None
    """The rubric to read the replies with. The default is each row's own, which must then be one of this project's."""
    aggregate: Aggregate | None = None
    """How the replies, or the scores of a panel's judges, become one. The default is as before."""
    min_mass: Share = JudgeOptions.min_mass
    """Give no verdict if the choices have less probability than this together (logprobs)."""
    min_samples: Count | None = None
    """Give no verdict if fewer samples than this were answered. The default is all (text, structured)."""
    calibration: Path | None = None
    """A file of judges.calibrate --fit, learned for the judge of these rows. Without it the rubric weighs."""
    limit: Count | None = None
    """Rescore only the first N rows."""
    out: OutRows | None = None
    """The output file. The default is <file>-rescored.jsonl beside FILE."""
    show: CountOr0 = 3
    """Print this many of the rows that changed."""
