"""How sure a judge is that the chosen answer is the better one, from what it said about both."""

import math
from functools import lru_cache
from statistics import NormalDist

import msgspec

from console.errors import InputError
from records import Judgment

Distribution = dict[float, float]
"""How likely each score is; sums to 1."""


def confidence_of(chosen: Judgment, rejected: Judgment) -> float | None:
    """Return the probability that the chosen answer is better, or None where the judge said nothing on its certainty.

    log-probabilities: sum over scores i, j of p_chosen(i) p_rejected(j) ([i > j] + [i = j] / 2), with the stored
    distributions taken as independent.
    text, structured: (W + 1) / (n m + 2), where W counts, over all n m pairs of a sampled score of each answer, a win
    as 1 and a tie as 1/2 (Laplace's rule: three samples against three never say 1).
    panel: the same over the judges, each one's score of one answer against its own score of the other.
    anything else, such as criteria read by log-probabilities or a score that evidence has changed:
    Phi(margin / sqrt(spread_chosen^2 + spread_rejected^2)), two normal scores that are independent.
    """
    if _is_as_said(chosen) and _is_as_said(rejected) and chosen.read == rejected.read:
        if (high := _distribution(chosen)) and (low := _distribution(rejected)):
            return _beats(high, low)
        if chosen.read != "logprobs" and (found := _by_samples(chosen, rejected)) is not None:
            return found
    return _by_spread(chosen, rejected)


def _beats(high: Distribution, low: Distribution) -> float:
    total = math.fsum(p * q * _win(i, j) for i, p in high.items() for j, q in low.items())
    return min(max(total, 0.0), 1.0)


def _win(one: float, other: float) -> float:
    return 1.0 if one > other else 0.5 if one == other else 0.0


def _by_samples(chosen: Judgment, rejected: Judgment) -> float | None:
    if chosen.read == "panel" and chosen.members == rejected.members:
        pairs = list(zip(chosen.scores, rejected.scores, strict=False))
    else:
        pairs = [(one, other) for one in chosen.scores for other in rejected.scores]
    wins = [_win(one, other) for one, other in pairs if one is not None and other is not None]
    return (math.fsum(wins) + 1) / (len(wins) + 2) if wins else None


def _by_spread(chosen: Judgment, rejected: Judgment) -> float | None:
    if None in (chosen.score, rejected.score, chosen.spread, rejected.spread):
        return None
    assert chosen.score is not None and rejected.score is not None
    assert chosen.spread is not None and rejected.spread is not None
    both = math.hypot(chosen.spread, rejected.spread)
    return NormalDist().cdf((chosen.score - rejected.score) / both) if both else None


def _is_as_said(judgment: Judgment) -> bool:
    """Return whether the score is what the replies come to: evidence may have changed it afterwards."""
    return judgment.evidence is None or judgment.evidence.get("rubric_score", judgment.score) == judgment.score


def _distribution(judgment: Judgment) -> Distribution | None:
    """Return the judge's distribution over scores; None where several criteria make one score, or it is not stored."""
    # Rows of the first version do not say how they were read.
    if judgment.read not in ("logprobs", "") or len(judgment.replies) != 1 or judgment.criteria:
        return None
    try:
        logprobs = msgspec.json.decode(judgment.replies[0], type=dict[str, float | None])
        values = {choice: _value(judgment.rubric, choice) for choice in logprobs}
    except (msgspec.DecodeError, ValueError):
        return None
    found: Distribution = {}
    for choice, logprob in logprobs.items():
        if logprob is not None:
            found[values[choice]] = found.get(values[choice], 0.0) + math.exp(logprob)
    total = math.fsum(found.values())
    return {value: p / total for value, p in found.items()} if total else None


def _value(rubric: str, choice: str) -> float:
    """Return what a choice is worth; raises ValueError for a word of a rubric that is not one of this project's."""
    named = _worth(rubric)
    return named[choice] if choice in named else float(choice)


@lru_cache(maxsize=16)
def _worth(rubric: str) -> dict[str, float]:
    from judges.rubrics.rubric import load_rubric

    try:
        found = load_rubric(rubric)
    except InputError:
        return {}
    return dict(zip(found.logprobs.choices, found.choice_values, strict=True))
