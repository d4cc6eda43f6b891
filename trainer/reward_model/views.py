"""Two views of a prompt: two of the policy's answers to it, drawn from all that it gave."""

from collections.abc import Sequence
from random import Random

from records import Response, text_of
from records.keys import derived_seed

ViewPair = tuple[Response, Response]


def view_pairs(responses: Sequence[Response], seed: int) -> list[ViewPair]:
    """Return different answers to one prompt two by two, each answer at most once (RLP, arXiv 2403.19279).

    The first two of every prompt come first, then the next two, so that neighbours are of different prompts. A prompt
    with one answer, or the same one all over, has none. The order of the responses does not matter.
    """
    answers: dict[str, dict[str, Response]] = {}
    for response in responses:
        if response.response.strip():
            answers.setdefault(text_of(response.prompt), {}).setdefault(response.response, response)
    drawn: list[tuple[int, int, ViewPair]] = []
    for prompt, by_text in answers.items():
        texts = sorted(by_text)
        Random(derived_seed(seed, "views", prompt)).shuffle(texts)
        for turn, (one, other) in enumerate(zip(texts[::2], texts[1::2], strict=False)):
            drawn.append((turn, derived_seed(seed, "view order", prompt), (by_text[one], by_text[other])))
    return [pair for _, _, pair in sorted(drawn, key=lambda one: one[:2])]
