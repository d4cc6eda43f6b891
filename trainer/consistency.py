"""How far two generations of a model order the same answers alike (CREAM, arXiv 2410.12735).

Each model ranks a prompt's answers by DPO's implicit reward, log pi(y|x) - log ref(y|x). Kendall's tau of the two
rankings gives the consistency C = (tau + 1) / 2, taken for the probability that a pair is labelled rightly: as the
`confidence` of the pairs, with --labels soft, it makes the loss C l(z) + (1 - C) l(-z).
"""

from __future__ import annotations

import gc
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Literal

import msgspec

from engines.batches import CACHED_BATCH_TOKENS, plan
from engines.likelihood import answer_tokens
from judges.audit.baselines import Likelihood, likelihood_id
from records import Message, Pair, Response, Store
from records.stage import complete

if TYPE_CHECKING:
    from torch import Tensor

    from engines.transformers_engine import TransformersEngine

Answer = tuple[str | list[Message], str]


@dataclass(frozen=True)
class Consistency:
    """How far two models agree on the order of each prompt's answers, from 0 (reversed) to 1 (the same)."""

    by_prompt: dict[str, float]
    mean: float | None
    n_unranked: int
    """Prompts without one: fewer than two answers are likely enough to compute, or a model finds all alike."""


def measure_consistency(
    responses: Sequence[Response], now: Path, before: Path, reference: Path, folder: Path, batch_size: int = 8
) -> Consistency:
    """Return the consistency of the models in `now` and `before`, with the model in `reference` as the reference.

    The models are loaded one after the other; their log-probabilities are stored in `folder`, so that a stopped call
    goes on. A model that is the reference itself has no implicit reward: it ranks by the mean log-probability of a
    token, as the authors' code does for M0.
    """
    answers = [(row.prompt, row.response) for row in responses]
    found = {path: _likelihoods(path, answers, folder, batch_size) for path in dict.fromkeys((now, before, reference))}
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


def logprobs_of(
    engine: TransformersEngine, answers: Sequence[Answer], done: Collection[str] = ()
) -> Iterator[Likelihood]:
    """Yield the mean log-probability of each answer's tokens after its prompt, for those whose id is not in `done`.

    The same numbers as `judges.audit.baselines.likelihoods_of`, up to rounding, computed in batches. The batches are
    planned from all answers, so that a resumed call computes the same ones. An answer that is empty or does not fit the
    context has none.
    """
    by_id = {likelihood_id(*answer): answer for answer in answers}
    ids, tokenised = list(by_id), [answer_tokens(engine, *answer) for answer in by_id.values()]
    context = int(getattr(engine.model.config, "max_position_embeddings", 0) or 1 << 30)
    usable = []
    for index, (tokens, n_prompt) in enumerate(tokenised):
        n_answer = len(tokens) - n_prompt
        if n_answer > 0 and len(tokens) <= context:
            usable.append(index)
        elif ids[index] not in done:
            error = "the response is empty" if n_answer < 1 else f"too long: {len(tokens)} tokens"
            yield Likelihood(id=ids[index], logprob=None, n_tokens=max(n_answer, 0), error=error)
    sequences = [tokenised[index][0] for index in usable]
    batches = plan(sequences, engine.batch_size, 0, share_prefix=False, max_tokens=CACHED_BATCH_TOKENS).batches
    for batch in batches:
        rows = [usable[position] for position in batch]
        if all(ids[row] in done for row in rows):
            continue
        n_answers = [len(tokenised[row][0]) - tokenised[row][1] for row in rows]
        sums = _batch_logprobs(engine, [tokenised[row][0] for row in rows], n_answers)
        for row, total, n in zip(rows, sums, n_answers, strict=True):
            if ids[row] not in done:
                yield Likelihood(id=ids[row], logprob=total / n, n_tokens=n)


def _batch_logprobs(engine: TransformersEngine, sequences: list[list[int]], n_answers: list[int]) -> list[float]:
    """Return the sum of the log-probabilities of each sequence's last tokens."""
    import torch

    from engines.shared_prefix import SharedPrefixCache

    device, width, n_kept = engine.model.device, max(map(len, sequences)), max(n_answers)
    n_padding_B = torch.tensor([width - len(sequence) for sequence in sequences], device=device)
    filler = engine.tokenizer.pad_token_id or 0
    ids_BL = torch.tensor([[filler] * (width - len(s)) + s for s in sequences], device=device)
    columns_L = torch.arange(width, device=device)
    if engine.shares_prefix:  # the engine's own attention is told where the tokens are through its cache
        cache = SharedPrefixCache([], n_padding_B, width)
        extra: dict[str, object] = {
            "past_key_values": cache,
            "attention_mask": cache.mask(width),
            "shared_prefix": cache,
        }
    else:
        extra = {"attention_mask": (columns_L >= n_padding_B[:, None]).long(), "use_cache": False}
    positions_BL = (columns_L - n_padding_B[:, None]).clamp(min=0)
    with torch.inference_mode():
        logits_BKV: Tensor = engine.model(
            input_ids=ids_BL, position_ids=positions_BL, logits_to_keep=n_kept + 1, **extra
        ).logits[:, :-1]
        chosen_BK = logits_BKV.gather(2, ids_BL[:, -n_kept:, None])[..., 0].float()
        logprobs_BK = chosen_BK - torch.stack([logits_KV.float().logsumexp(-1) for logits_KV in logits_BKV])
        kept_BK = torch.arange(n_kept, 0, -1, device=device) <= torch.tensor(n_answers, device=device)[:, None]
        sums: list[float] = (logprobs_BK.double() * kept_BK).sum(dim=1).tolist()
    return sums


def _likelihoods(model: Path, answers: Sequence[Answer], folder: Path, batch_size: int) -> list[Likelihood]:
    from engines.transformers_engine import TransformersEngine

    engine = TransformersEngine.load(model, model.name, batch_size)
    ids = [likelihood_id(*answer) for answer in answers]
    with Store(folder / f"likelihoods-{engine.digest}.jsonl", Likelihood) as store:
        found = {row.id: row for row in complete(store, ids, logprobs_of(engine, answers, store.ids), f"{model}")}
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
