"""All that an evaluation with Arena-Hard found."""

from dataclasses import dataclass, field
from pathlib import Path

from evals.arena_hard.scoring.scores import CategoryScores


@dataclass(frozen=True)
class Result:
    """The scores by category, and their origin."""

    judge: str
    source: str
    """The questions or the judgments, in words."""
    categories: list[CategoryScores]
    n_cut_off: int | None = None
    """Answers of the model that were cut off, or None if that was not recorded."""
    files: list[Path] = field(default_factory=list)
