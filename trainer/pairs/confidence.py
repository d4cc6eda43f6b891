"""A judge's confidence that the chosen answer is the better one, from its judgments of both."""

import math
from functools import lru_cache
from statistics import NormalDist

import msgspec

from console.errors import InputError
from judges.options import OF_CHOICES
from judges.parsing.verdict import NO_MASS
from judges.rubrics.rubric import load_rubric
from records import Judgment

Distribution = dict[float, float]
"""Probability by score. Sums to 1."""


def confidence_of(chosen: Judgment, rejected: Judgment) -> float | None:
    """Return the probability that the chosen answer is better, or None if the judgments hold no uncertainty.

    log-probabilities: sum over scores i, j of p_chosen(i) p_rejected(j) ([i > j] + [i = j] / 2), with the stored
    distributions taken as independent.
    text, structured: (W + 1) / (n m + 2), in which W sums 1 per win and 1/2 per tie over all
    n m pairs of sampled scores of the two answers (Laplace's rule: three samples against three never say 1).
    panel: the same over the judges, with each judge's score of one answer against its score of the other.
    anything else, such as criteria read by log-probabilities or a score changed by evidence:
    Phi(margin / sqrt(spread_chosen^2 + spread_rejected^2)), for two independent normal scores.
    """
    if _is_as_said(chosen) and _is_as_said(rejected) and chosen.read == rejected.read:
        if (high := _distribution(chosen)) and (low := _distribution(rejected)):
            return _beats(high, low)
        if chosen.read not in OF_CHOICES and (sampled := _by_samples(chosen, rejected)) is not None:
            return sampled
    return _by_spread(chosen, rejected)


def _beats(high: Distribution, low: Distribution) -> float:
    total = math.fsum(p * q * _win(i, j) for i, p in high.items() for j, q in low.items())
    return min(max(total, 0.0), 1.0)


def _win(first: float, second: float) -> float:
    return 1.0 if first > second else 0.5 if first == second else 0.0


def _by_samples(chosen: Judgment, rejected: Judgment) -> float | None:
    # Each judge's scores stand at one place, and are compared with each other only.
    if chosen.read == "panel" and chosen.members == rejected.members:
        pairs = list(zip(chosen.scores, rejected.scores, strict=False))
    else:
        pairs = [(high, low) for high in chosen.scores for low in rejected.scores]
    wins = [_win(high, low) for high, low in pairs if high is not None and low is not None]
    return (math.fsum(wins) + 1) / (len(wins) + 2) if wins else None


def _by_spread(chosen: Judgment, rejected: Judgment) -> float | None:
    if None in (chosen.score, rejected.score, chosen.spread, rejected.spread):
        return None
    assert chosen.score is not None and rejected.score is not None
    assert chosen.spread is not None and rejected.spread is not None
    both = math.hypot(chosen.spread, rejected.spread)
    return NormalDist().cdf((chosen.score - rejected.score) / both) if both else None


def _is_as_said(judgment: Judgment) -> bool:
    """Return whether the score is still that of the replies. Evidence may have changed it afterwards."""
    return judgment.evidence is None or judgment.evidence.get("rubric_score", judgment.score) == judgment.score


def _distribution(judgment: Judgment) -> Distribution | None:
    """Return the judge's distribution over scores, or None if it is not stored or several criteria make one score."""
    # Rows of the first version do not say how they were read.
    if judgment.read not in (*OF_CHOICES, "") or len(judgment.replies) != 1 or judgment.criteria:
        return None
    try:
        logprobs = msgspec.json.decode(judgment.replies[0], type=dict[str, float | None])
        logprobs.pop(NO_MASS, None)
        values = {choice: _value(judgment.rubric, choice) for choice in logprobs}
    except (msgspec.DecodeError, ValueError):
        return None
    weights: Distribution = {}
    for choice, logprob in logprobs.items():
        if logprob is not None:
            weights[values[choice]] = weights.get(values[choice], 0.0) + math.exp(logprob)
    total = math.fsum(weights.values())
    return {value: p / total for value, p in weights.items()} if total else None


def _value(rubric: str, choice: str) -> float:
    """Return the value of a choice. Raises ValueError for a word of a rubric outside this project."""
    values = _worth(rubric)
    return values[choice] if choice in values else float(choice)


@lru_cache(maxsize=16)
def _worth(rubric: str) -> dict[str, float]:
    try:
        loaded = load_rubric(rubric)
    except InputError:
        return {}
    return dict(zip(loaded.logprobs.choices, loaded.choice_values, strict=True))
