"""Rewards of several answers to one prompt, from a tournament in both orders."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from console.errors import InputError
from judges.judging.pairwise import Contest
from records import Comparison, Message
from records.keys import content_key

Place = tuple[int, int]
POINTS = {"a": (1, -1), "b": (-1, 1), "tie": (0, 0)}


@dataclass(frozen=True)
class Standing:
    """The result of one answer."""

    reward: float | None
    """Wins minus losses, divided by the number of the other answers. None if one of its pairs has no verdict."""
    preference: float | None
    """The mean preference for it over the others, 0 to 1, which tells answers apart if the two orders disagree."""
    wins: int
    losses: int
    ties: int
    error: str | None = None


def tournament(
    prompt: str | list[Message], answers: Sequence[str], reference: str | None, most: int
) -> dict[Place, Contest]:
    """Return the contest of each two different answers, by the places at which they first come.

    Raises InputError if there are fewer than two answers, or more pairs than `most`.
    """
    n_pairs = len(answers) * (len(answers) - 1) // 2
    if not 1 <= n_pairs <= most:
        raise InputError(f"2 or more answers with at most {most:,} pairs are compared, found {len(answers):,} answers")
    prompt_id = content_key("prompt", prompt)
    return {
        (i, j): Contest(prompt_id, prompt, answers[i], answers[j], "a", "b", reference)
        for i, j in combinations(first_places(answers).values(), 2)
    }


def first_places(answers: Sequence[str]) -> dict[str, int]:
    """Return the place at which each answer first comes."""
    places: dict[str, int] = {}
    for place, answer in enumerate(answers):
        places.setdefault(answer, place)
    return places


def standings(answers: Sequence[str], comparisons: Mapping[Place, Comparison]) -> list[Standing]:
    """Return the result of each answer. Equal answers tie, and no judge is asked about them."""
    firsts = first_places(answers)
    results = {place: _against(place, comparisons) for place in firsts.values()}
    counts = Counter(answers)
    rows = []
    for answer in answers:
        results_of, n_equal = results[firsts[answer]], counts[answer] - 1
        points, preferences, errors = [0] * n_equal, [0.5] * n_equal, []
        for other, result in results_of.items():
            if isinstance(result, str):  # a pair without a verdict is neither won nor lost, and no tie
                errors.append(f"against answer {other}: {result}")
                continue
            points += [result[0]] * counts[answers[other]]
            preferences += [result[1]] * counts[answers[other]]
        rows.append(_standing(points, preferences, errors[0] if errors else None))
    return rows


def _against(place: int, comparisons: Mapping[Place, Comparison]) -> dict[int, tuple[int, float] | str]:
    """Return the points and the preference of one answer against each other one, or why there are none."""
    results: dict[int, tuple[int, float] | str] = {}
    for (i, j), comparison in comparisons.items():
        if place not in (i, j):
            continue
        preference = comparison.preference_b
        if comparison.winner is None or preference is None:
            results[j if place == i else i] = comparison.error or "no verdict"
        elif place == i:
            results[j] = (POINTS[comparison.winner][0], 1 - preference)
        else:
            results[i] = (POINTS[comparison.winner][1], preference)
    return results


def _standing(points: Sequence[int], preferences: Sequence[float], error: str | None) -> Standing:
    counts = (points.count(1), points.count(-1), points.count(0))
    if error is not None:
        return Standing(None, None, *counts, error)
    return Standing(sum(points) / len(points), fmean(preferences), *counts)
