"""Battles: the verdict of a game as the share of the second answer and its weight.

Arena-Hard (arXiv 2406.11939, section 4): a prompt has two games with the sides exchanged. Much better weighs three
battles, better one, and a tie is half a win for both.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from judges.intervals.bootstrap import Floats

WEIGHT = 3
"""Battles of a verdict of much better."""
OF_SECOND: dict[str, tuple[float, int]] = {
    "A>>B": (0.0, WEIGHT),
    "A>B": (0.0, 1),
    "A=B": (0.5, 1),
    "B>A": (1.0, 1),
    "B>>A": (1.0, WEIGHT),
}
"""Each verdict as the share of the answer shown second, and the number of its battles."""
SPELLINGS = {"A<<B": "B>>A", "A<B": "B>A", "B=A": "A=B", "B<A": "A>B", "B<<A": "A>>B"}
"""Other ways to write a verdict, which arena-hard-auto reads too."""


@dataclass(frozen=True)
class Game:
    """The verdict of one game, or the reason why it has none."""

    verdict: str | None
    """One of the five of OF_SECOND: A is the answer shown first."""
    reason: str | None = None


@dataclass(frozen=True)
class Judged:
    """Both games of a prompt. The baseline's answer is A in the first game, and B in the second."""

    uid: str
    category: str
    judge: str
    model: str
    baseline: str
    games: tuple[Game, Game]

    @property
    def is_scored(self) -> bool:
        """Whether both games have a verdict. A prompt with one alone would keep the judge's bias for a place."""
        return all(game.verdict is not None for game in self.games)

    @property
    def is_flipped(self) -> bool | None:
        """Whether the games name different winners, or None if one has no verdict."""
        shares = {share for share, _ in self.battles()}
        return len(shares) > 1 if shares else None

    def battles(self) -> list[tuple[float, int]]:
        """Return the share of the model and the number of battles of the second game, then of the first one.

        It is the order of arena-hard-auto. A prompt without a verdict in one of its games has none.
        """
        first, second = (game.verdict for game in self.games)
        if first is None or second is None:
            return []
        (share, n), (share_of_model, n_of_model) = OF_SECOND[second], OF_SECOND[first]
        return [(1 - share, n), (share_of_model, n_of_model)]


@dataclass(frozen=True)
class Totals:
    """The battles of each scored prompt of one model, added up. Shapes: N prompts."""

    won: Floats
    """Battles won, ties as halves, (N,)."""
    all: Floats
    """(N,)."""


def totals(judged: Sequence[Judged]) -> Totals:
    """Return the battles of prompts with a verdict."""
    battles = [prompt.battles() for prompt in judged]
    won = [sum(share * n for share, n in pair) for pair in battles]
    return Totals(np.array(won, dtype=float), np.array([sum(n for _, n in pair) for pair in battles], dtype=float))


def score_of(judged: Sequence[Judged]) -> float | None:
    """Return the share of battles that the model won, from 0 to 1, or None without any."""
    battles = totals(judged)
    n = float(battles.all.sum())
    return float(battles.won.sum()) / n if n else None
