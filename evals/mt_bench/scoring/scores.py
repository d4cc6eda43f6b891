"""The mean score of each model by turn and category, as FastChat has it, with intervals over questions.

Shapes: N scores.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evals.mt_bench.files.judgments import Scored
from judges.intervals.bootstrap import Estimate, mean_of, resampled


@dataclass(frozen=True)
class ModelScores:
    """The mean scores of a model, from 1 to 10, over the answers with a score."""

    model: str
    n: int
    n_scored: int
    reasons: dict[str, int]
    average: Estimate
    """Over all scores, so that a turn with more scores weighs more."""
    by_turn: dict[int, Estimate]
    by_category: dict[str, Estimate]
    """Over the turns together. Empty without the questions."""
    by_category_and_turn: dict[str, dict[int, Estimate]]


@dataclass(frozen=True)
class Drawing:
    """The settings of the intervals."""

    resamples: int = 1000
    seed: int = 0


def scores_of(judged: Sequence[Scored], categories: Mapping[str, str], drawing: Drawing) -> list[ModelScores]:
    """Return the scores of each model, the highest average first. `categories` are those of the questions by id."""
    models = dict.fromkeys(scored.model for scored in judged)
    every = [_of_model([scored for scored in judged if scored.model == model], categories, drawing) for model in models]
    return sorted(every, key=lambda scores: -(scores.average.value or 0))


def _of_model(judged: Sequence[Scored], categories: Mapping[str, str], drawing: Drawing) -> ModelScores:
    turns = sorted({scored.turn for scored in judged})
    named = dict.fromkeys(categories[scored.question_id] for scored in judged if scored.question_id in categories)
    of_category = {name: [s for s in judged if categories.get(s.question_id) == name] for name in named}
    by_both = {name: _by_turn(scores, turns, drawing) for name, scores in of_category.items()}
    return ModelScores(
        judged[0].model,
        len(judged),
        sum(scored.is_known for scored in judged),
        dict(Counter(scored.reason or "unknown" for scored in judged if not scored.is_known)),
        _mean("average", judged, drawing),
        _by_turn(judged, turns, drawing),
        {name: _mean(name, scores, drawing) for name, scores in of_category.items()},
        by_both,
    )


def _by_turn(judged: Sequence[Scored], turns: Sequence[int], drawing: Drawing) -> dict[int, Estimate]:
    return {turn: _mean(f"turn {turn}", [s for s in judged if s.turn == turn], drawing) for turn in turns}


def _mean(name: str, judged: Sequence[Scored], drawing: Drawing) -> Estimate:
    """Return the mean of the known scores. Both turns of a question are drawn together."""
    scores_N = np.array([math.nan if scored.score is None else scored.score for scored in judged], dtype=float)
    return mean_of(name, scores_N, resampled([s.question_id for s in judged], drawing.resamples, drawing.seed))
