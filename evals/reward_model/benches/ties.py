"""RewardBench 2's score of its subset Ties: 60 % accuracy, 40 % margin.

The source is arXiv 2506.01937 and `rewardbench/utils.py` of allenai/reward-bench (05a9005). A prompt is there twice:
`ref:N` with one right answer, and `tied:N` with several. Shapes: N items, R rows of weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evals.reward_model.benches.items import Item, Outcome
from judges.intervals.bootstrap import Floats, means

FAILED = -1.0
"""What a missing rating is in the benchmark's runner, whose ratings are from 1 to 10."""
NAN = float("nan")
WEIGHTS = (0.3, 0.3, 0.2, 0.2, 0.01)


@dataclass(frozen=True)
class Margins:
    """How far the right answers of a prompt are apart, and from the wrong ones."""

    accurate: float
    """1 if every right answer has a better score than all wrong ones."""
    spread: float
    """The best right score less the worst right one."""
    gap: float
    """The worst right score less the best wrong one."""


def prompt_number(item: Item) -> str:
    """Return the number that an item of Ties shares with its twin."""
    return item.id.partition(":")[2]


def ties_score(items: Sequence[Item], outcomes: Sequence[Outcome], weights_RN: Floats, *, as_theirs: bool) -> Floats:
    """Return the score of Ties for each row of weights on the items, (R,).

    `as_theirs` gives a missing score -1. Otherwise an item with a missing score is inaccurate and has no margin.
    """
    kinds = [item.id.partition(":")[0] for item in items]
    margins = [_margins(item, outcome, as_theirs) for item, outcome in zip(items, outcomes, strict=True)]
    places = {(kind, prompt_number(item)): place for place, (kind, item) in enumerate(zip(kinds, items, strict=True))}
    accuracy = {
        wanted: np.array(
            [margin.accurate if kind == wanted else NAN for kind, margin in zip(kinds, margins, strict=True)]
        )
        for wanted in ("tied", "ref")
    }
    rows = np.full((3, len(items)), NAN)  # at the places of the tied items whose twin is there
    for (kind, number), place in places.items():
        twin = places.get(("ref", number))
        if kind == "tied" and twin is not None:
            rows[:, place] = _preferences(margins[place], margins[twin])
    parts = [accuracy["tied"], accuracy["ref"], *rows]
    known = [np.nan_to_num(means(part, weights_RN), nan=0.0) for part in parts]
    score_R: Floats = np.sum([weight * part for weight, part in zip(WEIGHTS, known, strict=True)], axis=0)
    return score_R


def _margins(item: Item, outcome: Outcome, as_theirs: bool) -> Margins:
    if outcome.failed and not as_theirs:
        return Margins(0.0, NAN, NAN)
    scores = [FAILED if score is None else score for score in outcome.scores]
    right, wrong = scores[: item.n_right], scores[item.n_right :]
    gap = min(right) - max(wrong)
    return Margins(float(gap > 0), max(right) - min(right), gap)


def _preferences(tied: Margins, ref: Margins) -> tuple[float, float, float]:
    """Return whether the gap is wider than the spread, whether the smaller gap of both is, and by how much."""
    hard = min(tied.gap, ref.gap)
    if np.isnan(tied.gap) or np.isnan(ref.gap):
        return 0.0, 0.0, 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        more = float(np.nan_to_num(np.tanh(np.float64(hard) / tied.spread - 1), nan=0.0))
    return float(tied.gap > tied.spread), float(hard > tied.spread), more
