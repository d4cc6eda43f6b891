"""Turns an annotator's comparisons into preference pairs, and flips some labels as noise."""

from collections.abc import Sequence
from random import Random

import msgspec

from judges.judging.contests import contest_of
from judges.judging.pairwise import Contest
from records import Comparison, Pair, Response, pair_of
from records.keys import derived_seed

NOISE = "label noise"
"""The kind of the evidence that marks a flipped pair."""


def contests_of(responses: Sequence[Response]) -> list[Contest]:
    """Return the first two answers to each prompt as a contest. A prompt with two equal texts has none."""
    by_prompt: dict[str, list[Response]] = {}
    for response in responses:
        by_prompt.setdefault(response.prompt_id, []).append(response)
    twos = [answers[:2] for answers in by_prompt.values() if len(answers) > 1]
    return [contest_of(first, second) for first, second in twos if first.response != second.response]


def labelled_pairs(comparisons: Sequence[Comparison], *, by_mean: bool = False) -> list[Pair]:
    """Return a pair for each comparison that prefers an answer. A tie or a missing verdict is no preference.

    With `by_mean` the mean of both orders decides, even if each order names another answer.
    """
    winners = ((comparison, _by_mean(comparison) if by_mean else comparison.winner) for comparison in comparisons)
    return [_pair(comparison, winner) for comparison, winner in winners if winner in ("a", "b")]


def with_noise(pairs: Sequence[Pair], share: float, seed: int) -> list[Pair]:
    """Return the pairs, each flipped with probability `share`: AlpacaFarm's noise (arXiv 2305.14387).

    A pair's own content and the seed decide whether it is flipped, and its evidence says so.
    """
    return [_turned_round(pair) if _draw(pair, seed) < share else pair for pair in pairs]


def n_turned_round(pairs: Sequence[Pair]) -> int:
    """Return how many of the pairs were flipped."""
    return sum(any(evidence.get("kind") == NOISE for evidence in pair.evidence or ()) for pair in pairs)


def _by_mean(comparison: Comparison) -> str | None:
    if comparison.winner is None or comparison.preference_b is None:
        return None
    return "tie" if comparison.preference_b == 0.5 else "b" if comparison.preference_b > 0.5 else "a"


def _pair(comparison: Comparison, winner: str | None) -> Pair:
    sides = (
        (comparison.response_a, comparison.response_b)
        if winner == "a"
        else (comparison.response_b, comparison.response_a)
    )
    evidence = {"kind": "comparison", "id": comparison.id, "preference_b": comparison.preference_b}
    return pair_of(comparison.prompt, comparison.prompt_id, *sides, judge=comparison.judge, evidence=[evidence])


def _draw(pair: Pair, seed: int) -> float:
    # a stream per pair, so that another pair in the file does not change which are flipped
    return Random(derived_seed(seed, NOISE, pair.prompt, pair.chosen, pair.rejected)).random()


def _turned_round(pair: Pair) -> Pair:
    return msgspec.structs.replace(
        pair,
        chosen=pair.rejected,
        rejected=pair.chosen,
        chosen_score=pair.rejected_score,
        rejected_score=pair.chosen_score,
        margin=None,  # the labeller's, which the flip contradicts
        confidence=None,
        evidence=[*(pair.evidence or ()), {"kind": NOISE}],
    )
