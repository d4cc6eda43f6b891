"""Draws the two views of a prompt: two of the policy's answers to it."""

from collections.abc import Sequence
from random import Random

from records import Response, text_of
from records.keys import derived_seed

ViewPair = tuple[Response, Response]


def view_pairs(responses: Sequence[Response], seed: int) -> list[ViewPair]:
    """Return pairs of different answers to one prompt, each answer used at most once (RLP, arXiv 2403.19279).

    The first pair of every prompt comes first, then the second pairs, so that neighbours have different prompts. A
    prompt with fewer than two different answers has no pair. The order of the responses does not matter.
    """
    answers: dict[str, dict[str, Response]] = {}
    for response in responses:
        if response.response.strip():
            answers.setdefault(text_of(response.prompt), {}).setdefault(response.response, response)
    drawn: list[tuple[int, int, ViewPair]] = []
    for prompt, by_text in answers.items():
        texts = sorted(by_text)
        Random(derived_seed(seed, "views", prompt)).shuffle(texts)
        for turn, (first, second) in enumerate(zip(texts[::2], texts[1::2], strict=False)):  # an odd one is left over
            drawn.append((turn, derived_seed(seed, "view order", prompt), (by_text[first], by_text[second])))
    return [pair for _, _, pair in sorted(drawn, key=lambda entry: entry[:2])]
