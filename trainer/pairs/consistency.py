"""How far two generations of a model order the same answers alike (CREAM, arXiv 2410.12735).

Each model ranks a prompt's answers by DPO's implicit reward, log pi(y|x) - log ref(y|x). Kendall's tau of the two
rankings gives the consistency C = (tau + 1) / 2, taken for the probability that a pair is labelled rightly: as the
`confidence` of the pairs, with --labels soft, it makes the loss C l(z) + (1 - C) l(-z).
"""

from __future__ import annotations

import gc
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import msgspec

from engines.likelihood import Likelihood, likelihood_id, likelihoods_of
from records import Message, Pair, Response, Store
from records.stage import complete

Answer = tuple[str | list[Message], str]


@dataclass(frozen=True)
class Consistency:
    """How far two models agree on the order of each prompt's answers, from 0 (reversed) to 1 (the same)."""

    by_prompt: dict[str, float]
    mean: float | None
    n_unranked: int
    """Prompts without one: fewer than two answers are likely enough to compute, or a model finds all alike."""


def measure_consistency(
    responses: Sequence[Response],
    now: Path,
    before: Path,
    reference: Path,
    folder: Path,
    batch_size: int = 8,
    chat_template_kwargs: Mapping[str, Any] | None = None,
) -> Consistency:
    """Return the consistency of the models in `now` and `before`, with the model in `reference` as the reference.

    The models are loaded one after the other; their log-probabilities are stored in `folder`, so that a stopped call
    goes on. A model that is the reference itself has no implicit reward: it ranks by the mean log-probability of a
    token, as the authors' code does for M0.
    """
    answers = [(row.prompt, row.response) for row in responses]
    found = {
        path: likelihoods_under(path, answers, folder, batch_size, chat_template_kwargs)
        for path in dict.fromkeys((now, before, reference))
    }
    rewards = [implicit_rewards(found[path], None if path == reference else found[reference]) for path in (now, before)]
    return consistency_of([row.prompt_id for row in responses], *rewards)


def implicit_rewards(policy: Sequence[Likelihood], reference: Sequence[Likelihood] | None) -> list[float | None]:
    """Return DPO's implicit reward of each answer over beta; with no reference the mean log-probability of a token."""
    if reference is None:
        return [row.logprob for row in policy]
    return [
        None if one.logprob is None or other.logprob is None else one.n_tokens * (one.logprob - other.logprob)
        for one, other in zip(policy, reference, strict=True)
    ]


def consistency_of(
    prompt_ids: Sequence[str], now: Sequence[float | None], before: Sequence[float | None]
) -> Consistency:
    """Return the consistency of two models' rewards of the same answers; those without both rewards are left out."""
    rewards: dict[str, list[tuple[float, float]]] = {prompt_id: [] for prompt_id in prompt_ids}
    for prompt_id, one, other in zip(prompt_ids, now, before, strict=True):
        if one is not None and other is not None:
            rewards[prompt_id].append((one, other))
    taus = {prompt_id: _tau(pairs) for prompt_id, pairs in rewards.items()}
    by_prompt = {prompt_id: (tau + 1) / 2 for prompt_id, tau in taus.items() if tau is not None}
    mean = fmean(by_prompt.values()) if by_prompt else None
    return Consistency(by_prompt, mean, len(taus) - len(by_prompt))


def with_consistency(
    pairs: Sequence[Pair], consistency: Consistency, level: Literal["set", "prompt"] = "set"
) -> list[Pair]:
    """Return the pairs with the consistency as their confidence: the mean of all prompts, or each prompt's own.

    Pairs for which there is none are left out: a label of unknown certainty is no label.
    """
    found = {pair.prompt_id: consistency.mean for pair in pairs} if level == "set" else consistency.by_prompt
    known = [(pair, found.get(pair.prompt_id)) for pair in pairs]
    return [msgspec.structs.replace(pair, confidence=value) for pair, value in known if value is not None]


def likelihoods_under(
    model: Path,
    answers: Sequence[Answer],
    folder: Path,
    batch_size: int,
    chat_template_kwargs: Mapping[str, Any] | None = None,
) -> list[Likelihood]:
    """Return how likely the model finds each answer; what is stored in `folder` is not computed again."""
    from engines.local.transformers_engine import TransformersEngine

    engine = TransformersEngine.load(model, model.name, batch_size, chat_template_kwargs)
    ids = [likelihood_id(*answer) for answer in answers]
    with Store(folder / f"likelihoods-{engine.digest}.jsonl", Likelihood) as store:
        found = {row.id: row for row in complete(store, ids, likelihoods_of(engine, answers, store.ids), f"{model}")}
    del engine
    gc.collect()  # the next model needs the memory
    return [found[row_id] for row_id in ids]


def _tau(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Return Kendall's tau-b of two lists; None where it is not defined."""
    if len(pairs) < 2:
        return None
    from scipy.stats import kendalltau

    tau = float(kendalltau(*zip(*pairs, strict=True)).statistic)
    return tau if math.isfinite(tau) else None
