"""The figures of one iteration on the held-out prompts."""

from judges.judging.win_rate import WinRate
from records.rows import Row
from trainer.monitors.following import Following
from trainer.monitors.monitors import Monitors


class IterationFigures(Row, frozen=True, kw_only=True):
    """One iteration on the held-out prompts."""

    iteration: int
    judge: str
    """The iteration whose model judged."""
    n_prompts: int
    """Prompts with an answer. The judge scores and compares the first answer to each."""
    n_unscored: int
    mean_score: float | None
    mean_chars: float
    win_rate: WinRate | None
    """Win rate against iter0. None for iter0 itself, and without comparisons."""
    following: Following | None = None
    """None if no held-out prompt has constraints."""
    monitors: Monitors | None = None
