"""Picks the highest-scored answer to each prompt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from records import Response, answer_key, prompt_key
from records.keys import content_key


@dataclass(frozen=True)
class Best:
    """The best answers, and counts and means over all answers."""

    responses: list[Response]
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
    by_prompt: dict[str, list[tuple[float | None, Response]]] = {}
    for response in responses:
        group = by_prompt.setdefault(prompt_key(response), [])
        group.append((scores.get(answer_key(response)) if response.response.strip() else None, response))
    chosen, left_out, tops, means = [], [], [], []
    for group in by_prompt.values():
        scored = [(score, response) for score, response in group if score is not None]
        if not scored:
            left_out.append(group[0][1].prompt_id)
            continue
        top, best = max(scored, key=lambda pair: (pair[0], content_key("best of", seed, pair[1].id, pair[1].response)))
        chosen.append(best)
        tops.append(top)
        means.append(fmean(score for score, _ in scored))
    n_unscored = sum(score is None for group in by_prompt.values() for score, _ in group)
    mean_best, mean_all = (fmean(values) if values else None for values in (tops, means))
    return Best(chosen, left_out, len(responses), n_unscored, mean_best, mean_all)
