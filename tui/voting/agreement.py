"""Agreement of people with each other and with the judge, and the judge's win rate corrected by their votes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from tui.voting.tally import NONE, TIE, A, B, Tally, majority

VALUE = {A: 0.0, B: 1.0, TIE: 0.5}
JUDGE = "the judge"
NORMAL_95 = 1.96


@dataclass(frozen=True)
class Agreement:
    """How far two say the same of the same rows."""

    first: str
    second: str
    n: int
    share: float | None
    kappa: float | None
    """Cohen's kappa over a, b and tie. None if chance alone explains everything, or there is no row."""


@dataclass(frozen=True)
class Corrected:
    """A win rate of the second answer (or, of pairs, of the rejected one)."""

    n: int
    n_voted: int
    judge: float | None
    """By the judge alone, over all rows with a verdict. A tie counts half."""
    corrected: float | None
    """Corrected by the votes."""
    error: float | None
    """Its standard error."""

    @property
    def interval(self) -> tuple[float, float] | None:
        """Return the 95 % interval, cut to 0 and 1."""
        if self.corrected is None or self.error is None:
            return None
        wide = NORMAL_95 * self.error
        return max(0.0, self.corrected - wide), min(1.0, self.corrected + wide)


def agreements(tally: Tally) -> list[Agreement]:
    """Return the agreement of each two voters, and of each voter with the judge."""
    votes = {place: tally.votes_on(place) for place in _distinct(tally)}
    voters = sorted({voter for by_voter in votes.values() for voter in by_voter})
    found = []
    for voter in voters:
        winners = {place: int(tally.table.rows["winner"][place]) for place in votes}
        both = [(by[voter], winners[place]) for place, by in votes.items() if voter in by and winners[place] != NONE]
        found.append(_agreement(voter, JUDGE, both))
    for first, second in combinations(voters, 2):
        both = [(by[first], by[second]) for by in votes.values() if first in by and second in by]
        found.append(_agreement(first, second, both))
    return found


def _distinct(tally: Tally) -> list[int]:
    """Return one row for each pair of answers: in a run the same two may stand in several files."""
    first: dict[frozenset[tuple[str, str]], int] = {}
    for row in sorted(tally.by_row):
        votes = tally.by_row[row].values()
        key = frozenset((vote.prompt_id, "|".join(sorted((vote.a_id, vote.b_id)))) for vote in votes)
        first.setdefault(key, row)
    return list(first.values())


def _agreement(first: str, second: str, both: Sequence[tuple[int, int]]) -> Agreement:
    share = sum(left == right for left, right in both) / len(both) if both else None
    return Agreement(first, second, len(both), share, cohens_kappa(both))


def cohens_kappa(both: Sequence[tuple[int, int]]) -> float | None:
    """Return Cohen's kappa of two raters (Cohen 1960), or None if they could only agree by chance."""
    n = len(both)
    if not n:
        return None
    first, second = Counter(left for left, _ in both), Counter(right for _, right in both)
    by_chance = sum(first[label] * second[label] for label in first) / n**2
    seen = sum(left == right for left, right in both) / n
    return (seen - by_chance) / (1 - by_chance) if by_chance < 1 else None


def corrected_rate(tally: Tally, rows: np.ndarray) -> Corrected:
    """Return the win rate of the second answer over `rows` (places in the table), corrected by the votes on some.

    It is the two-phase difference estimator: mean of the judge over all n rows, plus the mean of (people − judge) over
    the m voted ones. Its variance is s²(people)/n + (1/m − 1/n) s²(people − judge). It is unbiased if the voted rows
    were drawn at random, whatever the judge's errors are.
    """
    winners = tally.table.rows["winner"][rows]
    known = rows[winners != NONE]
    judged = np.array([VALUE[int(side)] for side in winners[winners != NONE]])
    votes = {int(row): majority(tally.votes_on(int(row)).values()) for row in known if int(row) in tally.by_row}
    n, m = len(known), len(votes)
    if not n:
        return Corrected(0, 0, None, None, None)
    rate = float(judged.mean())
    if not m:
        return Corrected(n, 0, rate, None, None)
    people = np.array([VALUE[side] for side in votes.values()])
    judge = np.array([VALUE[int(tally.table.rows["winner"][place])] for place in votes])
    apart = people - judge
    corrected = rate + float(apart.mean())
    if m < 2:
        return Corrected(n, m, rate, corrected, None)
    variance = people.var(ddof=1) / n + (1 / m - 1 / n) * apart.var(ddof=1)
    return Corrected(n, m, rate, corrected, float(np.sqrt(max(variance, 0.0))))
