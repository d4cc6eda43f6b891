"""The stored result of one arm with one seed."""

from collections.abc import Callable

from experiments.known_truth.measure import ModelFigures, RoundFigures
from records.rows import Row


class ArmResult(Row, frozen=True, kw_only=True):
    """One arm with one seed."""

    id: str
    arm: str
    seed: int
    measured: list[ModelFigures]
    """M0 to M3."""
    learnt: list[RoundFigures]
    """The rounds to M2 and M3."""
    seconds: float


Value = Callable[[ArmResult], float | None]
