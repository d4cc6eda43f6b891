"""A judge whose scores are drawn at random: the bound below which no judge of an experiment should be."""

from collections.abc import Sequence
from math import log
from random import Random

from engines.protocol import Request
from engines.scripted import ScriptedEngine
from records.keys import content_key


def random_engine(seed: int) -> ScriptedEngine:
    """Return a judge's engine with random distributions over the scores, fixed by the question."""

    def logprobs(request: Request, choices: Sequence[str]) -> list[float]:
        # seeded by the question, so that a resumed run draws the same scores
        random = Random(content_key(seed, request.messages))
        weights = [random.expovariate(1.0) for _ in choices]  # normalised, they are uniform over all distributions
        return [log(weight / sum(weights)) for weight in weights]

    return ScriptedEngine(logprobs=logprobs, digest=f"random {seed}")
