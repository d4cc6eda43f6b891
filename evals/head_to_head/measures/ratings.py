"""Ratings of three or more models from all of their matches: Bradley-Terry strengths on the scale of Elo.

Shapes: M models, N questions, B resamples.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from evals.head_to_head.measures.figures import Measured
from judges.intervals.bootstrap import Estimate, Floats, estimate
from judges.intervals.elo import elo

POINTS = 400 / math.log(10)
"""Elo points of a unit of strength: 400 points more mean odds of 10 to 1."""


@dataclass(frozen=True)
class Ratings:
    """The rating of each model in Elo points, whose mean is 0, or the reason why there are none."""

    ratings: list[Estimate]
    """In the order of the models. Only differences between ratings have a meaning."""
    problem: str | None = None


def rate(names: Sequence[str], matches: Sequence[Measured], weights_BN: Floats) -> Ratings:
    """Return the ratings with 95% intervals over questions, the same resamples for all matches.

    A verdict counts as the judge's preference, so a tie is half a win for both. A model that never lost a share of a
    verdict to the others, directly or through others, has no finite rating (Hunter 2004, section 2): then there are no
    ratings, and `problem` says so.
    """
    place = {name: number for number, name in enumerate(names)}
    wins_MM = _wins(place, matches, np.ones((1, weights_BN.shape[1])))[0]
    if problem := _problem(names, wins_MM):
        return Ratings([], problem)
    wins_BMM = _wins(place, matches, weights_BN)
    is_finite_B = np.array([reached_MM.all() for reached_MM in _reached(wins_BMM > 0)])
    points_M, points_BM = POINTS * elo(wins_MM, prior=0.0), np.full(wins_BMM.shape[:2], np.nan)
    if is_finite_B.any():
        points_BM[is_finite_B] = POINTS * elo(wins_BMM[is_finite_B], prior=0.0)
    n = sum(measured.figures.n_both for measured in matches)
    return Ratings([estimate(name, points_M[m], points_BM[:, m], n) for name, m in place.items()])


def _wins(place: dict[str, int], matches: Sequence[Measured], weights_BN: Floats) -> Floats:
    """Return the wins of each model over each other one in each resample, (B, M, M)."""
    wins_BMM = np.zeros((len(weights_BN), len(place), len(place)))
    for measured in matches:
        first, second = place[measured.first], place[measured.second]
        known = np.isfinite(measured.preferences)
        wins_BMM[:, first, second] = weights_BN[:, known] @ measured.preferences[known]
        wins_BMM[:, second, first] = weights_BN[:, known] @ (1 - measured.preferences[known])
    return wins_BMM


def _reached(beaten_BMM: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return whether each model beat each other one, directly or through others, (B, M, M)."""
    reached_BMM: NDArray[np.bool_] = beaten_BMM | np.eye(beaten_BMM.shape[-1], dtype=bool)
    for _ in range(beaten_BMM.shape[-1].bit_length()):  # each time chains of twice the length
        reached_BMM = reached_BMM @ reached_BMM
    return reached_BMM


def _problem(names: Sequence[str], wins_MM: Floats) -> str | None:
    """Return why the strengths have no finite maximum of likelihood, or None."""
    n_groups, groups_M = connected_components(wins_MM > 0, directed=True, connection="strong")
    if n_groups == 1:
        return None
    apart = [name for name, group in zip(names, groups_M, strict=True) if group != groups_M[0]]
    return f"between {names[0]} and {apart[0]} the verdicts go all one way, or there are none"
