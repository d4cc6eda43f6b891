"""Figures of an experiment's arms over its seeds: means with 95 % intervals, and differences paired by seed."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from judges.intervals.mean import Mean, mean_of_known


class Result(Protocol):
    """The result of one arm with one seed."""

    @property
    def arm(self) -> str:
        """The arm's name."""

    @property
    def seed(self) -> int:
        """The seed."""

    @property
    def seconds(self) -> float:
        """Its wall time."""


ResultT = TypeVar("ResultT", bound=Result)


def done_arms(results: Sequence[Result], known: Iterable[str]) -> list[str]:
    """Return the names in `known` that have a result, in order."""
    done = {result.arm for result in results}
    return [arm for arm in known if arm in done]


def mean_over(results: Sequence[ResultT], arm: str, value: Callable[[ResultT], float | None]) -> Mean | None:
    """Return the mean of an arm's known values over the seeds, or None without any."""
    return mean_of_known([value(result) for result in results if result.arm == arm])


def against(results: Sequence[ResultT], arm: str, other: str, value: Callable[[ResultT], float | None]) -> Mean | None:
    """Return the mean difference of an arm to another one, paired by seed, or None to itself."""
    if arm == other:
        return None
    # by seed, because two arms of one seed share the base model and the prompts, whose luck cancels
    theirs = {result.seed: value(result) for result in results if result.arm == other}
    differences: list[float | None] = []
    for result in results:
        figure, its = value(result), theirs.get(result.seed)
        if result.arm == arm and figure is not None and its is not None:
            differences.append(figure - its)
    return mean_of_known(differences)


def mean_minutes(results: Sequence[Result], arm: str) -> float:
    """Return the mean wall time of an arm in minutes."""
    seconds = [result.seconds for result in results if result.arm == arm]
    return sum(seconds) / len(seconds) / 60


def shown(mean: Mean | None, digits: int, *, sign: bool = False) -> str:
    """Return `2.31 ± 0.05`, or a dash."""
    return "-" if mean is None else mean.text(digits, sign=sign)
