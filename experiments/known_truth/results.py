"""The stored result of one arm with one seed, and the comparison with the whole loop."""

from collections.abc import Callable, Sequence

from experiments.known_truth.arms import FULL
from experiments.known_truth.measure import ModelFigures, RoundFigures
from judges.intervals.mean import Mean, mean_of_known
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


def against_full(results: Sequence[ArmResult], arm: str, value: Value) -> Mean | None:
    """Return the mean difference of an arm to the whole loop, paired by seed."""
    full = {result.seed: value(result) for result in results if result.arm == FULL}
    differences: list[float | None] = []
    for result in results:
        figure, other = value(result), full.get(result.seed)
        if result.arm == arm and figure is not None and other is not None:
            differences.append(figure - other)
    return mean_of_known(differences)
