"""A reward model as a judge: its rewards as judgments, which have no rubric and no replies."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

from engines.chat.template import with_kwargs
from engines.models import model_digest, with_dtype
from engines.options import EngineOptions, check_no_dtype, memory_of
from engines.reward_model import (
    AnyRewardModel,
    Reward,
    RewardModel,
    VllmRewardModel,
    check_reward_model,
    is_reward_model,
    vllm_digest,
)
from records import Judgment, Response, Store, Usage, response_key
from records.keys import content_key
from records.rows import Message
from records.stage import complete

READ = RUBRIC = "reward"
"""The `read` and `rubric` of its judgments."""
CHUNK = 256
"""Answers that are scored together before they are stored."""


class Rewarding(Protocol):
    """What gives rewards: a reward model, or a policy by its implicit reward."""

    @property
    def digest(self) -> str:
        """Identify everything that changes a reward."""

    def rewards(self, prompts: Sequence[str | list[Message]], responses: Sequence[str]) -> list[Reward]:
        """Return the reward of each response to its prompt, or the reason why it has none."""


def reward_folder(options: EngineOptions) -> Path | None:
    """Return the folder of the reward model that `options` name, or None if they name a model to ask."""
    folder, is_here = Path(options.model), options.engine != "openai" and options.base_url is None
    return folder if is_here and is_reward_model(folder) else None


def open_reward_model(
    folder: Path, name: str, options: EngineOptions, *, beside_training: bool = False
) -> AnyRewardModel:
    """Load the reward model in `folder`, with --engine vllm in vLLM. Raises InputError or EngineError.

    Beside a model in training vLLM takes only the memory that a batch needs.
    """
    if options.engine == "vllm":
        check_no_dtype(options)
        memory = replace(memory_of(options), beside_training=beside_training)
        return VllmRewardModel.load(folder, name, memory, options.chat_template_kwargs)
    return RewardModel.load(folder, name, options.batch_size, options.chat_template_kwargs, options.dtype)


def fingerprint(model: Rewarding) -> str:
    """Return 16 hex digits of everything that changes a reward: weights, tokenizer, template, and vLLM."""
    return content_key("reward model", model.digest)


def fingerprint_in(folder: Path, options: EngineOptions) -> str:
    """Return the fingerprint of the reward model that `open_reward_model` would load. Nothing is loaded."""
    return content_key("reward model", _digest_in(folder, options))


def _digest_in(folder: Path, options: EngineOptions) -> str:
    with_vllm = options.engine == "vllm"
    digest = vllm_digest(folder) if with_vllm else with_dtype(model_digest(folder), folder, options.dtype)
    return with_kwargs(digest, options.chat_template_kwargs)


@dataclass(frozen=True)
class WaitingRewardModel:
    """The reward model in `folder`, loaded once an answer is scored: a finished run needs only its fingerprint."""

    folder: Path
    name: str
    options: EngineOptions

    @cached_property
    def digest(self) -> str:
        """Identify everything that changes a reward."""
        check_reward_model(self.folder)
        return _digest_in(self.folder, self.options)

    @cached_property
    def _loaded(self) -> AnyRewardModel:
        return open_reward_model(self.folder, self.name, self.options)

    def rewards(self, prompts: Sequence[str | list[Message]], responses: Sequence[str]) -> list[Reward]:
        """Return what `RewardModel.rewards` does."""
        return self._loaded.rewards(prompts, responses)


def rewards_into(store: Store[Judgment], model: Rewarding, responses: Sequence[Response], title: str) -> list[Judgment]:
    """Score the responses that `store` lacks and return the judgments of all `responses` in order."""
    wanted = [judgment_id(model, response) for response in responses]
    return complete(store, wanted, _judgments(model, responses, wanted, store), title)


def _judgments(
    model: Rewarding, responses: Sequence[Response], ids: Sequence[str], store: Store[Judgment]
) -> Iterator[Judgment]:
    """Yield the missing judgments. A chunk is always scored whole, so that an interruption changes no number."""
    for start in range(0, len(ids), CHUNK):
        chunk = responses[start : start + CHUNK]
        missing = {row_id for row_id in ids[start : start + CHUNK] if row_id not in store}
        if not missing:
            continue
        for judgment in rewarded(model, chunk):
            if judgment.id in missing:
                missing.discard(judgment.id)  # the same answer twice is one row
                yield judgment


def rewarded(model: Rewarding, responses: Sequence[Response]) -> Iterator[Judgment]:
    """Yield the reward of each response as a judgment, all scored together."""
    rewards = model.rewards([member.prompt for member in responses], [member.response for member in responses])
    for response, reward in zip(responses, rewards, strict=True):
        yield Judgment(
            id=judgment_id(model, response),
            response_id=response.id,
            prompt_id=response.prompt_id,
            prompt=response.prompt,
            response=response.response,
            model=response.model,
            score=reward.value,
            scores=[reward.value],
            replies=[],
            error=reward.error,
            spread=None,
            rubric=RUBRIC,
            judge=fingerprint(model),
            usage=Usage(),
            read=READ,
            response_finish_reason=response.finish_reason,
        )


def judgment_id(model: Rewarding, response: Response) -> str:
    """Return the key under which the reward of `response` is stored."""
    return content_key("judgment", fingerprint(model), response_key(response))
