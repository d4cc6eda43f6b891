"""Labels on pairs of answers: from an annotator's comparisons to preference pairs, some turned round as noise."""

from collections.abc import Sequence
from random import Random

import msgspec

from judges.judging.contests import contest_of
from judges.judging.pairwise import Contest
from records import Comparison, Pair, Response, pair_of
from records.keys import derived_seed

NOISE = "label noise"
"""What the evidence of a pair that was turned round begins with."""


def contests_of(responses: Sequence[Response]) -> list[Contest]:
    """Return the first two answers to each prompt as what is to be compared; one that has one text only has none."""
    by_prompt: dict[str, list[Response]] = {}
    for response in responses:
        by_prompt.setdefault(response.prompt_id, []).append(response)
    twos = [answers[:2] for answers in by_prompt.values() if len(answers) > 1]
    return [contest_of(first, second) for first, second in twos if first.response != second.response]


def labelled_pairs(comparisons: Sequence[Comparison], *, by_mean: bool = False) -> list[Pair]:
    """Return a pair for each comparison that prefers an answer; a tie and a missing verdict are no preference.

    By the mean it prefers the one that the mean of both orders does, though each order may name another.
    """
    winners = ((row, _by_mean(row) if by_mean else row.winner) for row in comparisons)
    return [_pair(row, winner) for row, winner in winners if winner in ("a", "b")]


def with_noise(pairs: Sequence[Pair], share: float, seed: int) -> list[Pair]:
    """Return the pairs, each turned round with probability `share`: AlpacaFarm's noise (arXiv 2305.14387).

    Whether one is, its own content and the seed decide, and its evidence says so.
    """
    return [_turned_round(pair) if _draw(pair, seed) < share else pair for pair in pairs]


def n_turned_round(pairs: Sequence[Pair]) -> int:
    """Return how many of the pairs were turned round."""
    return sum(any(one.get("kind") == NOISE for one in pair.evidence or ()) for pair in pairs)


def _by_mean(row: Comparison) -> str | None:
    if row.winner is None or row.preference_b is None:
        return None
    return "tie" if row.preference_b == 0.5 else "b" if row.preference_b > 0.5 else "a"


def _pair(row: Comparison, winner: str | None) -> Pair:
    sides = (row.response_a, row.response_b) if winner == "a" else (row.response_b, row.response_a)
    evidence = {"kind": "comparison", "id": row.id, "preference_b": row.preference_b}
    return pair_of(row.prompt, row.prompt_id, *sides, judge=row.judge, evidence=[evidence])


def _draw(pair: Pair, seed: int) -> float:
    return Random(derived_seed(seed, NOISE, pair.prompt, pair.chosen, pair.rejected)).random()


def _turned_round(pair: Pair) -> Pair:
    return msgspec.structs.replace(
        pair,
        chosen=pair.rejected,
        rejected=pair.chosen,
        chosen_score=pair.rejected_score,
        rejected_score=pair.chosen_score,
        margin=None,
        confidence=None,
        evidence=[*(pair.evidence or ()), {"kind": NOISE}],
    )
