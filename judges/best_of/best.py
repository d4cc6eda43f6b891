"""Picks the highest-scored answer to each prompt."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from records import Response, answer_key, prompt_key
from records.disk import DiskRows
from records.keys import content_key

Chosen = list[Response] | DiskRows[Response]
"""Answers in memory or on disk."""


@dataclass(frozen=True)
class Best:
    """The best answers, and counts and means over all answers."""

    responses: Chosen
    """One per prompt, in the order in which the prompts first come."""
    left_out: list[str]
    """The ids of prompts without a scored answer."""
    n_responses: int
    n_unscored: int
    mean_best: float | None
    mean_all: float | None
    """The mean over prompts of their answers' mean score, which is the expected score of one random answer."""


def best_of(responses: Sequence[Response], scores: Mapping[str, float | None], seed: int) -> Best:
    """Return the answer with the highest score to each prompt.

    `scores` are by `answer_key`, None for no score. An answer without a text has none. A seeded hash breaks ties, so
    that the order of the answers does not matter.
    """
    by_prompt: dict[str, list[Response]] = {}
    for response in responses:
        by_prompt.setdefault(prompt_key(response), []).append(response)
    return best_of_groups(by_prompt.values(), scores, seed, [])


def best_of_groups(
    groups: Iterable[Sequence[Response]], scores: Mapping[str, float | None], seed: int, chosen: Chosen
) -> Best:
    """Return the same for the answers to one prompt after those to another. The best are put into `chosen`, empty."""
    left_out: list[str] = []
    tops, means = array("d"), array("d")  # 8 bytes a prompt
    n_responses = n_unscored = 0
    for group in groups:
        found = [(scores.get(answer_key(one)) if one.response.strip() else None, one) for one in group]
        scored = [(score, response) for score, response in found if score is not None]
        n_responses += len(found)
        n_unscored += len(found) - len(scored)
        if not scored:
            left_out.append(group[0].prompt_id)
            continue
        top, best = max(scored, key=lambda pair: (pair[0], content_key("best of", seed, pair[1].id, pair[1].response)))
        chosen.append(best)
        tops.append(top)
        means.append(fmean(score for score, _ in scored))
    mean_best, mean_all = (fmean(values) if values else None for values in (tops, means))
    return Best(chosen, left_out, n_responses, n_unscored, mean_best, mean_all)
