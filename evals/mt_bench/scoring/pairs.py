"""The wins, losses and ties of each model, as FastChat counts them, with an interval over questions.

A pair whose games name different winners is a tie.

Shapes: N pairs.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evals.mt_bench.files.judgments import Compared
from evals.mt_bench.scoring.scores import Drawing
from judges.intervals.bootstrap import Estimate, proportion_of, resampled


@dataclass(frozen=True)
class PairScores:
    """The figures of a model over all of its pairs with a verdict in both games."""

    model: str
    n: int
    n_scored: int
    wins: int
    losses: int
    ties: int
    n_flipped: int
    """Of the ties, those whose games name different winners."""
    reasons: dict[str, int]
    win_rate: Estimate
    """Wins, and ties as halves, from 0 to 1. FastChat calls it win_rate_adjusted."""
    by_turn: dict[int, Estimate]


def pair_scores_of(judged: Sequence[Compared], drawing: Drawing) -> list[PairScores]:
    """Return the figures of each model, the highest win rate first."""
    models = dict.fromkeys(name for pair in judged for name in (pair.model_1, pair.model_2))
    every = [_of_model(name, [p for p in judged if name in (p.model_1, p.model_2)], drawing) for name in models]
    return sorted(every, key=lambda scores: -(scores.win_rate.value or 0))


def _of_model(model: str, judged: Sequence[Compared], drawing: Drawing) -> PairScores:
    known = [pair for pair in judged if pair.is_known]
    shares = Counter(_share(model, pair) for pair in known)
    return PairScores(
        model,
        len(judged),
        len(known),
        shares[1.0],
        shares[0.0],
        shares[0.5],
        sum(pair.first != pair.second for pair in known),
        dict(Counter(pair.reason or "unknown" for pair in judged if not pair.is_known)),
        _rate("win rate", model, judged, drawing),
        {
            turn: _rate(f"turn {turn}", model, [pair for pair in judged if pair.turn == turn], drawing)
            for turn in sorted({pair.turn for pair in judged})
        },
    )


def _share(model: str, pair: Compared) -> float:
    """Return 1 if the model won, 0 if it lost, 0.5 for a tie, NaN without a verdict."""
    if pair.winner is None:
        return math.nan
    if pair.winner == "tie":
        return 0.5
    return float((pair.winner == "model_1") == (model == pair.model_1))


def _rate(name: str, model: str, judged: Sequence[Compared], drawing: Drawing) -> Estimate:
    shares_N = np.array([_share(model, pair) for pair in judged], dtype=float)
    weights_BN = resampled([pair.question_id for pair in judged], drawing.resamples, drawing.seed)
    return proportion_of(name, shares_N, weights_BN)
