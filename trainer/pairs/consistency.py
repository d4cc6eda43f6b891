"""Agreement of two model generations on the order of the same answers (CREAM, arXiv 2410.12735).

Each model ranks a prompt's answers by DPO's implicit reward, log pi(y|x) - log ref(y|x). Kendall's tau of the two
rankings gives the consistency C = (tau + 1) / 2, which stands for the probability that a pair has the right label.
Used as the `confidence` of the pairs with --labels soft, it makes the loss C l(z) + (1 - C) l(-z).
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
from scipy.stats import kendalltau

from engines.likelihood import Likelihood, likelihood_id, likelihoods_of
from engines.local.transformers_engine import TransformersEngine
from records import Message, Pair, Response, Store
from records.stage import complete

Answer = tuple[str | list[Message], str]


@dataclass(frozen=True)
class Consistency:
    """Agreement of two models on the order of each prompt's answers, from 0 (reversed) to 1 (the same)."""

    by_prompt: dict[str, float]
    mean: float | None
    n_unranked: int
    """Prompts without a consistency: fewer than two answers have a finite likelihood, or a model ranks all equal."""


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

    The models are loaded one after the other. Their log-probabilities are stored in `folder`, so that an interrupted
    call resumes. The reference itself has no implicit reward, so it ranks by the mean log-probability per token, as
    the authors' code does for M0.
    """
    answers = [(response.prompt, response.response) for response in responses]
    likelihoods = {
        path: likelihoods_under(path, answers, folder, batch_size, chat_template_kwargs)
        for path in dict.fromkeys((now, before, reference))
    }
    rewards = [
        implicit_rewards(likelihoods[path], None if path == reference else likelihoods[reference])
        for path in (now, before)
    ]
    return consistency_of([response.prompt_id for response in responses], *rewards)


def implicit_rewards(policy: Sequence[Likelihood], reference: Sequence[Likelihood] | None) -> list[float | None]:
    """Return DPO's implicit reward over beta per answer, or the mean log-probability per token without a reference."""
    if reference is None:
        return [likelihood.logprob for likelihood in policy]
    return [
        None
        if under_policy.logprob is None or under_reference.logprob is None
        else under_policy.n_tokens * (under_policy.logprob - under_reference.logprob)
        for under_policy, under_reference in zip(policy, reference, strict=True)
    ]


def consistency_of(
    prompt_ids: Sequence[str], now: Sequence[float | None], before: Sequence[float | None]
) -> Consistency:
    """Return the consistency of two models' rewards of the same answers. Answers without both rewards are skipped."""
    rewards: dict[str, list[tuple[float, float]]] = {prompt_id: [] for prompt_id in prompt_ids}
    for prompt_id, reward_now, reward_before in zip(prompt_ids, now, before, strict=True):
        if reward_now is not None and reward_before is not None:
            rewards[prompt_id].append((reward_now, reward_before))
    taus = {prompt_id: _tau(pairs) for prompt_id, pairs in rewards.items()}
    by_prompt = {prompt_id: (tau + 1) / 2 for prompt_id, tau in taus.items() if tau is not None}
    mean = fmean(by_prompt.values()) if by_prompt else None
    return Consistency(by_prompt, mean, len(taus) - len(by_prompt))


def with_consistency(
    pairs: Sequence[Pair], consistency: Consistency, level: Literal["set", "prompt"] = "set"
) -> list[Pair]:
    """Return the pairs with the consistency as their confidence: the mean of all prompts, or that of their prompt.

    Pairs without a consistency are dropped, because a label of unknown certainty is no label.
    """
    by_prompt = {pair.prompt_id: consistency.mean for pair in pairs} if level == "set" else consistency.by_prompt
    known = [(pair, by_prompt.get(pair.prompt_id)) for pair in pairs]
    return [msgspec.structs.replace(pair, confidence=value) for pair, value in known if value is not None]


def likelihoods_under(
    model: Path,
    answers: Sequence[Answer],
    folder: Path,
    batch_size: int,
    chat_template_kwargs: Mapping[str, Any] | None = None,
) -> list[Likelihood]:
    """Return the model's likelihood of each answer. Likelihoods stored in `folder` are not computed again."""
    engine = TransformersEngine.load(model, model.name, batch_size, chat_template_kwargs)
    ids = [likelihood_id(*answer) for answer in answers]
    with Store(folder / f"likelihoods-{engine.digest}.jsonl", Likelihood) as store:
        by_id = {
            likelihood.id: likelihood
            for likelihood in complete(store, ids, likelihoods_of(engine, answers, store.ids), f"{model}")
        }
    del engine
    gc.collect()  # the next model needs the memory
    return [by_id[row_id] for row_id in ids]


def _tau(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Return Kendall's tau-b of two lists, or None if it is undefined."""
    if len(pairs) < 2:
        return None
    tau = float(kendalltau(*zip(*pairs, strict=True)).statistic)
    return tau if math.isfinite(tau) else None
