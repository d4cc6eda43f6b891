"""The figures of a match: counts, win rate with its interval, exact test, the share of verdicts for the longer answer.

Shapes: N questions, B resamples.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import binomtest

from evals.head_to_head.measures.length import at_equal_length
from evals.head_to_head.questions import Question
from evals.head_to_head.stages import Match, seen_from
from judges.intervals.bootstrap import Estimate, Floats, proportion_of
from judges.judging.pairwise import both_orders_answered
from records import Comparison

UNANSWERED = "a model gave no answer"


@dataclass(frozen=True)
class Figures:
    """The verdicts on the answers of two models, from the first model's view."""

    n: int
    """The questions, of which each is one of the next five counts."""
    wins: int
    losses: int
    ties: int
    """Verdicts of a tie in both orders."""
    flipped: int
    """Verdicts that differ between the orders."""
    unscored: int
    unanswered: int
    """Of the unscored, those for lack of an answer of a model or of the judge. The next run asks for it again."""
    first_place: int
    """Of the flipped, those that name the answer shown first in both orders."""
    second_place: int
    win_rate: Estimate
    """The mean preference for the first model, from 0 to 1: a win is 1, a tie or a flipped verdict about 0.5."""
    p_value: float | None
    """Of the exact sign test on wins and losses. None without either."""
    longer: Estimate
    """The share of wins and losses in which the longer answer won, without answers of equal length."""
    equal_length: Estimate
    """The win rate that the verdicts suggest if both answers were of one length (`at_equal_length`)."""

    @property
    def n_both(self) -> int:
        """The number of verdicts from both orders."""
        return self.n - self.unscored


@dataclass(frozen=True)
class Measured:
    """A match with its figures."""

    first: str
    second: str
    figures: Figures
    by_category: dict[str, Figures]
    preferences: Floats
    """Those for the first model, (N,), NaN without a verdict."""
    reasons: list[str] = field(default_factory=list)
    """Why verdicts are missing, one for each."""


def measure(
    match: Match, rows: Sequence[Comparison | None], questions: Sequence[Question], weights_BN: Floats
) -> Measured:
    """Return the figures of a match from its verdicts, one for each question, None if it was not asked."""
    seen = [None if row is None else seen_from(match.first, row) for row in rows]
    reasons = [row.error or "unknown" if row else UNANSWERED for row in seen if row is None or row.winner is None]
    by_category = {
        name: _of_category(name, seen, questions, weights_BN)
        for name in sorted({question.category for question in questions if question.category})
    }
    whole = _figures(seen, weights_BN)
    return Measured(match.first, match.second, whole, by_category, _preferences(seen), reasons)


def _of_category(
    name: str, rows: Sequence[Comparison | None], questions: Sequence[Question], weights_BN: Floats
) -> Figures:
    places = [place for place, question in enumerate(questions) if question.category == name]
    return _figures([rows[place] for place in places], weights_BN[:, places])


def sign_test(wins: int, losses: int) -> float | None:
    """Return the two-sided p-value of an exact binomial test that wins and losses are equally likely, None without any.

    Ties are left out (Conover 1999, section 3.4). The value is 1 if wins and losses are equal.
    """
    return float(binomtest(wins, wins + losses).pvalue) if wins + losses else None


def _figures(rows: Sequence[Comparison | None], weights_BN: Floats) -> Figures:
    known = [row for row in rows if row is not None and row.winner is not None]
    wins, losses = (sum(row.winner == side for row in known) for side in "ba")
    flips = [row for row in known if row.flipped]
    preferences_N, longer_N = _preferences(rows), np.array([_longer_won(row) for row in rows])
    return Figures(
        n=len(rows),
        wins=wins,
        losses=losses,
        ties=sum(row.winner == "tie" and not row.flipped for row in known),
        flipped=len(flips),
        unscored=len(rows) - len(known),
        unanswered=sum(row is None or (row.winner is None and not both_orders_answered(row)) for row in rows),
        first_place=sum((row.first_order, row.second_order) == ("a", "b") for row in flips),
        second_place=sum((row.first_order, row.second_order) == ("b", "a") for row in flips),
        win_rate=proportion_of("win rate", preferences_N, weights_BN),
        p_value=sign_test(wins, losses),
        longer=proportion_of("longer answer won", longer_N, weights_BN),
        equal_length=at_equal_length(preferences_N, _longer_by(rows), weights_BN),
    )


def _preferences(rows: Sequence[Comparison | None]) -> Floats:
    values = [None if row is None else row.preference_b for row in rows]
    return np.array([math.nan if value is None else value for value in values], dtype=float)


def _longer_by(rows: Sequence[Comparison | None]) -> Floats:
    lengths = [math.nan if row is None else len(row.response_b) - len(row.response_a) for row in rows]
    return np.array(lengths, dtype=float)


def _longer_won(row: Comparison | None) -> float:
    """Return 1 if the longer answer won, 0 if it lost, or NaN if neither did or both are of one length."""
    if row is None or row.winner not in ("a", "b") or len(row.response_a) == len(row.response_b):
        return math.nan
    return float((len(row.response_b) > len(row.response_a)) == (row.winner == "b"))
