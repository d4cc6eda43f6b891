"""The stages of a run in their order: how much of the whole is done, and how long the rest takes.

Each stage has a guess of its seconds beforehand. Only the ratio of the guesses counts once a stage was measured: the
pace of each kind of work (answers, judgments, training) is learnt from the stages that this process has run.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from console.progress import duration
from trainer.loop.plan.work import Kind, Work

LEAST_SHARE = 0.1
"""A stage under way counts as measured above this share, because its start takes longer than the rest."""


@dataclass(frozen=True)
class Step:
    """One stage of the run."""

    title: str
    """As its progress is called."""
    kind: Kind
    guess_s: float


class Course:
    """What is done of a run's stages, as their progress tells it. Stages that were done before took no time here."""

    def __init__(self, steps: Sequence[Step], clock: Callable[[], float] = time.monotonic) -> None:
        self._steps = steps
        self._places = {step.title: place for place, step in enumerate(steps)}
        self._clock = clock
        self._now = -1
        """The place of the stage under way. All before it are done."""
        self._share = self._share_before = 0.0
        """What is done of it, and what was done when this process came to it."""
        self._started_s = self._last_s = clock()
        self._timed: list[_Timed] = []
        self._shown = 0.0

    @property
    def guess_s(self) -> float:
        """Return the guessed seconds of the whole run."""
        return sum(step.guess_s for step in self._steps)

    def begin(self, title: str, share: float) -> None:
        """Note that a stage begins, of which `share` is done already. Titles that are no stage are ignored."""
        place = self._places.get(title)
        if place is None or place < self._now:
            return
        if (running := self._running(0.0)) is not None:
            self._timed.append(running)
        # The time between two stages, such as loading a model, belongs to the later one, unless others lie between.
        self._started_s = self._last_s if place == self._now + 1 else self._clock()
        self._now, self._share, self._share_before, self._last_s = place, share, share, self._clock()

    def update(self, title: str, share: float) -> None:
        """Note how much of the stage under way is done."""
        if self._places.get(title) == self._now:
            self._share, self._last_s = share, self._clock()

    def text(self) -> str:
        """Return `43 % of the run, about 5 min left`, without a time before a stage was measured."""
        left_s = self.left_s
        percent = f"{min(100 * self.share, 99):.0f} % of the run"  # 100 would look done while files are still written
        return percent if left_s is None else f"{percent}, about {duration(left_s)} left"

    @property
    def share(self) -> float:
        """Return the share of the run that is done, weighted with the time of each stage. It never goes back."""
        weights = [step.guess_s * (self._pace(step.kind) or 1.0) for step in self._steps]
        done = sum(weights[: max(self._now, 0)]) + (self._share * weights[self._now] if self._now >= 0 else 0.0)
        # weights change when a pace is learnt, which may make the share done smaller
        self._shown = max(self._shown, done / sum(weights) if sum(weights) else 1.0)
        return self._shown

    @property
    def left_s(self) -> float | None:
        """Return about how many seconds the rest takes, or None before a stage was measured."""
        later, left_s = self._steps[self._now + 1 :], 0.0
        for kind in {step.kind for step in self._steps[max(self._now, 0) :]}:
            if (pace := self._pace(kind)) is None:
                return None
            left_s += pace * sum(step.guess_s for step in later if step.kind == kind)
        if self._now >= 0:
            step = self._steps[self._now]
            left_s += (self._pace(step.kind) or 1.0) * step.guess_s * (1 - self._share)
        return left_s

    def _running(self, above: float) -> "_Timed | None":
        """Return what the stage under way has taken, or None if no more than `above` of it was made here."""
        made = self._share - self._share_before
        step = self._steps[max(self._now, 0)]
        if self._now < 0 or made <= above or not step.guess_s:  # a stage without a guess has no pace
            return None
        return _Timed(step.kind, self._last_s - self._started_s, made * step.guess_s)

    def _pace(self, kind: Kind) -> float | None:
        """Return the measured seconds over the guessed ones: of this kind, or else of all, or None without any."""
        running = self._running(LEAST_SHARE)
        timed = [*self._timed, *([running] if running else [])]
        # another kind's pace is better than none: the machine is the same
        chosen = [one for one in timed if one.kind == kind] or timed
        guess_s = sum(one.guess_s for one in chosen)
        return sum(one.seconds for one in chosen) / guess_s if guess_s else None


@dataclass(frozen=True)
class _Timed:
    """The seconds that some of a stage took, and what they were guessed to be."""

    kind: Kind
    seconds: float
    guess_s: float


def steps_of(works: Sequence[Work], guesses_s: Sequence[float | None]) -> list[Step]:
    """Return the steps of the stages, in order. A stage is called as its progress: without `, at most ...`."""
    timed = [(work, guess_s or 0.0) for work, guess_s in zip(works, guesses_s, strict=True)]
    within: defaultdict[str, float] = defaultdict(float)
    for work, guess_s in timed:
        within[work.within] += guess_s
    titled = [(work.stage.partition(",")[0], work.kind, guess_s) for work, guess_s in timed if not work.within]
    return [Step(title, kind, guess_s + within[title]) for title, kind, guess_s in titled]
