"""The win rate of one model over another, with its interval."""

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import fmean, stdev

from console.output import say
from judges.intervals.mean import half_width
from judges.intervals.proportion import knows_nothing, wilson
from records import Comparison


@dataclass(frozen=True)
class WinRate:
    """The share of contests in which b is preferred to a, in percent, with a 95% confidence interval over prompts."""

    percent: float | None
    half_width: float | None
    """Of Student's interval. None if the verdicts are all alike, or at 0 and 100: see `low` and `high` then."""
    n: int
    n_flipped: int
    n_unscored: int
    low: float | None = None
    high: float | None = None
    """The ends of the interval, which is Wilson's if there is no half width. None without a verdict."""
    n_both: int | None = None
    """Verdicts from both orders, of which `n_flipped` named different winners. None in files of earlier versions."""

    def __str__(self) -> str:
        if self.percent is None:
            return "-"
        if self.half_width:
            return f"{self.percent:.1f} ± {self.half_width:.1f}"
        return f"{self.percent:.1f}" if self.low is None else f"{self.percent:.1f} [{self.low:.1f}, {self.high:.1f}]"

    @property
    def flipped_percent(self) -> float | None:
        """Return the share of verdicts from both orders that named different winners, in percent, or None."""
        n = self.n if self.n_both is None else self.n_both
        return 100 * self.n_flipped / n if n else None


@dataclass
class Tally:
    """Verdicts between two models, added up as they come, in 8 bytes a verdict."""

    n: int = 0
    wins: Counter[str | None] = field(default_factory=Counter)
    preferences: "array[float]" = field(default_factory=lambda: array("d"))
    """Those for b."""
    n_flipped: int = 0
    n_both: int = 0

    def add(self, comparison: Comparison) -> None:
        """Count one verdict."""
        self.n += 1
        self.wins[comparison.winner] += 1
        if comparison.preference_b is not None:
            self.preferences.append(comparison.preference_b)
        if comparison.flipped is not None:
            self.n_both += 1
            self.n_flipped += comparison.flipped

    def rate(self) -> WinRate:
        """Return the win rate of b, as `win_rate` does."""
        known = self.preferences
        counts = {"n_flipped": self.n_flipped, "n_unscored": self.n - len(known), "n_both": self.n_both}
        if not known:
            return WinRate(None, None, 0, **counts)
        n, share, deviation = len(known), fmean(known), stdev(known) if len(known) > 1 else 0.0
        if knows_nothing(share, deviation):
            low, high = wilson(min(max(share, 0.0), 1.0), n)
            return WinRate(100 * share, None, n, low=100 * low, high=100 * high, **counts)
        half = half_width(100 * deviation, n)
        return WinRate(100 * share, half, n, low=100 * share - half, high=100 * share + half, **counts)


def win_rate(comparisons: Iterable[Comparison]) -> WinRate:
    """Return the mean preference for b: a win is 1, a tie or a flipped pair about 0.5, a loss 0.

    With log-probabilities it is the expected preference, as in AlpacaEval 2. The interval is Student's t over prompts,
    or Wilson's if all verdicts are the same. Comparisons without a verdict are counted and left out.
    """
    tally = Tally()
    for comparison in comparisons:
        tally.add(comparison)
    return tally.rate()


def flip_warning(name: str, n_flipped: int, n_both: int) -> str | None:
    """Return a warning if the two orders named different winners in over half of the comparisons, else None."""
    if 2 * n_flipped <= n_both:
        return None
    return (
        f"{name}: {n_flipped} of {n_both} comparisons flipped with the order of the answers: this judge prefers "
        "a position to an answer, and the win rate says little"
    )


def say_flips(rates: Mapping[str, WinRate | None]) -> None:
    """Warn on stderr of each win rate, by name, if over half of its comparisons flipped with the order."""
    for name, rate in rates.items():
        if rate is not None and (warning := flip_warning(name, rate.n_flipped, rate.n_both or rate.n)):
            say(warning)
