"""Expected scores of answers, and their ranks."""

import math

from engines.local.transformers_engine import TransformersEngine
from engines.protocol import Request

SCORES = ["0", "1", "2", "3", "4", "5"]


def scores(engine: TransformersEngine, asked: list[Request]) -> list[float]:
    """Return the expected score of each answer."""
    found = {}
    for choice in engine.choose(asked, SCORES):
        masses = [math.exp(logprob) for logprob in choice.logprobs]
        found[choice.index] = sum(score * mass for score, mass in enumerate(masses)) / sum(masses)
    return [found[index] for index in range(len(asked))]


def ranks(values: list[float]) -> list[float]:
    """Return the place of each value among all, from 0."""
    order = sorted(range(len(values)), key=values.__getitem__)
    return [float(order.index(index)) for index in range(len(values))]
