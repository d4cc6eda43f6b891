"""Draws answers and computes all that stays fixed while the policy learns from them.

The policy learns from the very tokens that were drawn. Only a reward reads them as text.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor
from transformers import PreTrainedModel

from engines.local.batches import MAX_BATCH_TOKENS, plan
from engines.local.decoding import Sampled
from engines.local.transformers_engine import TransformersEngine
from engines.protocol import Sampling
from records import Message
from trainer.ppo.actor import ActorCritic, answer_logits, padded
from trainer.ppo.losses import gae, token_logprobs, token_rewards, whiten
from trainer.ppo.options import PPOOptions
from trainer.ppo.reference import FrozenPolicy
from trainer.ppo.rewards import RewardSource, scored


@dataclass(frozen=True)
class EncodedPrompt:
    """A prompt as text for the reward, and as tokens in the policy's template."""

    prompt: str | list[Message]
    tokens: list[int]


@dataclass(frozen=True)
class Answer:
    """One answer. The lists of numbers have one entry per token of it."""

    prompt: list[int]
    tokens: list[int]
    finish_reason: str
    logprobs: list[float]
    """Log-probabilities under the policy that drew it."""
    ref_logprobs: list[float]
    values: list[float]
    reward: float | None = None

    @property
    def kl(self) -> float:
        """The log-ratio of policy and reference. Its mean over draws is the divergence in nats per answer."""
        return sum(self.logprobs) - sum(self.ref_logprobs)


class Sampler(Protocol):
    """Draws answers with the weights that the policy has when it is called."""

    def sample(self, sequences: list[list[int]], seeds: Sequence[int], sampling: Sampling) -> Iterable[Sampled]:
        """Return the tokens drawn after each token sequence, in any order. The seed fixes a sequence's draws."""


@dataclass(frozen=True)
class Actors:
    """The models of a rollout: policy and value model, reference, and the policy as an engine."""

    actor: ActorCritic
    reference: PreTrainedModel | FrozenPolicy
    engine: TransformersEngine
    sampler: Sampler
    autocast: Callable[[], AbstractContextManager[None]] = nullcontext
    """The precision that they compute in. A reward keeps its own."""
    together: Callable[[int], int] = int
    """Returns how many batches all processes read, of which this one has so many. Sharded models compute in step."""

    @property
    def filler(self) -> int:
        """The token that rows are padded with."""
        return self.engine.tokenizer.pad_token_id or 0


def roll_out(
    actors: Actors, source: RewardSource, prompts: Sequence[EncodedPrompt], seeds: Sequence[int], options: PPOOptions
) -> list[Answer]:
    """Return an answer to each prompt, drawn with the seed at its position, and its reward or None."""
    # top_p is 1: with a nucleus the drawn tokens would not have the probabilities that the policy learns with.
    sampling = Sampling(options.response_length, options.temperature, 1.0)
    sequences = [prompt.tokens for prompt in prompts]
    with actors.autocast():
        drawn = {answer.index: answer for answer in actors.sampler.sample(sequences, seeds, sampling)}
    rows = [(sequence, drawn[index].tokens) for index, sequence in enumerate(sequences)]
    answers: dict[int, Answer] = {}
    whole = [[*prompt, *answer] for prompt, answer in rows]
    size = options.generation_batch_size
    batches = plan(whole, size, 0, share_prefix=False, max_tokens=MAX_BATCH_TOKENS).batches
    for number in range(actors.together(len(batches))):
        batch = batches[min(number, len(batches) - 1)]
        reasons = [drawn[index].finish_reason or "" for index in batch]
        with actors.autocast():
            answers |= zip(batch, _read(actors, [rows[index] for index in batch], reasons), strict=True)
    decode = actors.engine.tokenizer.decode
    texts = [decode(actors.engine.without_end(answer)[0], skip_special_tokens=True) for _, answer in rows]
    rewards = scored(source, [prompt.prompt for prompt in prompts], texts)
    return [replace(answers[n], reward=_reward(answers[n], reward, options)) for n, reward in enumerate(rewards)]


@torch.no_grad()
def _read(actors: Actors, rows: list[tuple[list[int], list[int]]], reasons: list[str]) -> list[Answer]:
    tokens = padded(rows, actors.filler, actors.reference.device)
    logprobs_BT, _, values_BT = actors.actor(tokens)
    ref_logits_BTV = answer_logits(actors.reference, tokens)
    ref_logprobs_BT = token_logprobs(ref_logits_BTV, tokens.answers, actors.actor.temperature)
    columns = zip(logprobs_BT.tolist(), ref_logprobs_BT.tolist(), values_BT.tolist(), strict=True)
    return [
        Answer(prompt, answer, reason, *(values[: len(answer)] for values in three))
        for (prompt, answer), reason, three in zip(rows, reasons, columns, strict=True)
    ]


def _reward(answer: Answer, reward: float | None, options: PPOOptions) -> float | None:
    if reward is None or options.missing_eos_penalty is None or answer.finish_reason == "stop":
        return reward
    return reward - options.missing_eos_penalty


@dataclass(frozen=True)
class Experience:
    """The N answers of a step and the tensors to learn from, each (N, T)."""

    answers: list[Answer]
    mask: Tensor
    logprobs: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor


def experience_of(answers: list[Answer], kl_coef: float, options: PPOOptions, device: torch.device) -> Experience:
    """Return the tensors to learn from. Every answer has a reward, and means and deviations are over all of them."""
    longest = max(len(answer.tokens) for answer in answers)

    def column(name: str) -> Tensor:
        columns = [getattr(answer, name) for answer in answers]
        return torch.tensor([[*values, *[0.0] * (longest - len(values))] for values in columns], device=device)

    lengths_N = torch.tensor([len(answer.tokens) for answer in answers], device=device)
    mask_NT = torch.arange(longest, device=device) < lengths_N[:, None]
    logprobs_NT, values_NT = column("logprobs"), column("values")
    scores_N = torch.tensor([answer.reward for answer in answers], device=device)
    rewards_NT = token_rewards(scores_N, logprobs_NT, column("ref_logprobs"), mask_NT, kl_coef, clamp=options.kl_clamp)
    if options.whiten_rewards:
        rewards_NT = whiten(rewards_NT, mask_NT, shift_mean=False)
    advantages_NT, returns_NT = gae(rewards_NT, values_NT, mask_NT, options.gamma, options.gae_lambda)
    if options.whiten_advantages:
        advantages_NT = whiten(advantages_NT, mask_NT)
    return Experience(answers, mask_NT, logprobs_NT, values_NT, advantages_NT, returns_NT)
