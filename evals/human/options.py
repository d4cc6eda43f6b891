"""The flags of evals.human."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from console.command import Flags
from console.ranges import Count
from console.writing import OutFolder


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Measure models and their judge by people's votes."""

    run: tyro.conf.Positional[str | None] = None
    """The run, a name in runs/ or a folder. The default is the newest one, unless there are --votes."""
    votes: Path | None = None
    """The file of votes. The default is votes.jsonl of the run."""
    comparisons: tyro.conf.UseAppendAction[tuple[Path, ...]] = ()
    """A file of comparisons that were voted on. Repeat the flag for more. The default is those of the run: eval/ and
    evals/head_to_head*/."""
    voter: str | None = None
    """Only the votes of this person."""
    resamples: Count = 1000
    """Bootstrap resamples of the prompts for the intervals."""
    out: OutFolder | None = None
    """The folder of human.json. The default is runs/<run>/evals/human."""
