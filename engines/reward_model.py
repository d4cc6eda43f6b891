"""Scores answers with a reward model in this process: one number for a prompt and its answer.

A reward model is a folder of transformers' sequence classification with one label. It has a tokenizer and a chat
template of its own, so texts are tokenised anew and it need not share the policy's tokens.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from console.errors import EngineError, InputError
from console.reading import read_file
from engines.adapters import is_adapter, settings_of
from engines.chat.template import encoded, load_tokenizer, rendered, with_kwargs
from engines.local.batches import CACHED_BATCH_TOKENS, MAX_BATCH_TOKENS, plan
from engines.local.vllm.installed import import_vllm
from engines.local.vllm.memory import Memory
from engines.local.waiting import check_template
from engines.models import checkpoint_dtype, context_of, model_digest
from records.keys import content_key
from records.rows import Message, messages_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from engines.local.vllm.classifier import VllmClassifier

ARCHITECTURE = "ForSequenceClassification"
EMPTY = "the response is empty"


@dataclass(frozen=True)
class Reward:
    """The score of one answer, or the reason why there is none."""

    value: float | None
    error: str | None = None


@dataclass(frozen=True)
class RewardModel:
    """A sequence classifier with one label and its tokenizer. Make it with `load`."""

    name: str
    digest: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    batch_size: int
    unscored: Counter[str] = field(default_factory=Counter, compare=False)
    """Why answers had no score, counted over all calls."""

    @classmethod
    def load(
        cls,
        folder: Path,
        name: str,
        batch_size: int = 32,
        chat_template_kwargs: Mapping[str, Any] | None = None,
        dtype: str = "auto",
    ) -> RewardModel:
        """Load the model in `folder` in the type `dtype`: float32 on a CPU, the checkpoint's own on an accelerator.

        Another type than that is part of the digest. Raises InputError if it is no reward model or has no chat
        template, EngineError if it cannot be loaded.
        """
        import torch  # here, because checking a reward model for a plan needs no torch

        from engines.merging import REWARDS, load_model

        if batch_size < 1:
            raise InputError(f"batch_size must be at least 1, not {batch_size}")
        check_reward_model(folder)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        usual = checkpoint_dtype(folder) if device == "cuda" else "float32"
        loaded_as = getattr(torch, usual, "auto") if dtype == "auto" else getattr(torch, dtype)
        try:
            tokenizer = load_tokenizer(folder, chat_template_kwargs)
            model = load_model(folder, loaded_as, REWARDS)
        except InputError:  # it names the model already
            raise
        except (OSError, ValueError, RuntimeError) as error:
            raise EngineError(f"{folder}: the model cannot be loaded: {' '.join(str(error).split())[:300]}") from None
        if tokenizer.chat_template is None:
            raise InputError(f"{name}: its tokenizer has no chat template; a reward model needs one")
        if is_adapter(folder):  # whose base may be no reward model, and know no padding
            model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
        digest = model_digest(folder) if dtype in ("auto", usual) else content_key(model_digest(folder), dtype)
        digest = with_kwargs(digest, chat_template_kwargs)
        return cls(name, digest, model.eval().to(device), tokenizer, batch_size)

    def score(self, prompts: Sequence[str | list[Message]], responses: Sequence[str]) -> list[float | None]:
        """Return the reward of each response to its prompt, in order, on a scale of the model's own.

        None means no reward, for a reason that `unscored` counts. A reward does not depend on the other rows, up to the
        rounding of float arithmetic. Raises InputError if the numbers of prompts and responses differ, EngineError if
        an answer alone does not fit the memory.
        """
        return [reward.value for reward in self.rewards(prompts, responses)]

    def rewards(self, prompts: Sequence[str | list[Message]], responses: Sequence[str]) -> list[Reward]:
        """Return the same with the reason of each answer that has no reward: it is empty, or too long."""
        rewards = rewards_of(self.tokenizer, context_of(self.model.config), prompts, responses, self._computed)
        self.unscored.update(reward.error for reward in rewards if reward.error)
        return rewards

    def _computed(self, sequences: list[list[int]]) -> list[float]:
        from engines.local.memory import computed, unshared  # here, because checking it for a plan needs no torch

        values: dict[int, float] = {}
        for batch, found in computed(
            unshared(self._batches(sequences), sequences), lambda batch: self._forward(batch.suffixes)
        ):
            values |= zip(batch.rows, found, strict=True)
        return [values[row] for row in range(len(sequences))]

    def _batches(self, sequences: list[list[int]]) -> list[list[int]]:
        # Without a padding token in its config the model reads the last column, whatever stands there.
        size = 1 if self._padding is None else self.batch_size
        most = CACHED_BATCH_TOKENS if self.model.device.type == "cpu" else MAX_BATCH_TOKENS
        return plan(sequences, size, 0, share_prefix=False, max_tokens=most).batches

    def _forward(self, sequences: list[list[int]]) -> list[float]:
        """Return the rewards of a batch, with rows padded on the right so that no position moves.

        The model reads the last token that is not its config's padding token, with which the rows are padded.
        """
        import torch

        width, device = max(map(len, sequences)), self.model.device
        filler = self._padding or 0
        ids_BL = torch.tensor([tokens + [filler] * (width - len(tokens)) for tokens in sequences], device=device)
        lengths_B = torch.tensor([len(tokens) for tokens in sequences], device=device)
        mask_BL = (torch.arange(width, device=device) < lengths_B[:, None]).long()
        with torch.inference_mode():
            logits_B1 = self.model(input_ids=ids_BL, attention_mask=mask_BL, use_cache=False).logits
        values: list[float] = logits_B1[:, 0].float().tolist()
        return values

    @property
    def _padding(self) -> int | None:
        padding: int | None = self.model.config.get_text_config().pad_token_id
        return padding


@dataclass(frozen=True)
class VllmRewardModel:
    """The same in vLLM, loaded at once. Make it with `load`."""

    name: str
    digest: str
    tokenizer: PreTrainedTokenizerBase
    classifier: VllmClassifier
    unscored: Counter[str] = field(default_factory=Counter, compare=False)
    """Why answers had no score, counted over all calls."""

    @classmethod
    def load(
        cls, folder: Path, name: str, memory: Memory, chat_template_kwargs: Mapping[str, Any] | None = None
    ) -> VllmRewardModel:
        """Load the model in `folder`, in the types of `RewardModel.load`.

        Raises InputError if it is no reward model or has no chat template, EngineError if it cannot be loaded.
        """
        check_reward_model(folder)
        check_template(folder, name)
        import_vllm()
        from engines.local.vllm.classifier import VllmClassifier

        classifier = VllmClassifier.load(name, folder, memory)
        digest = with_kwargs(vllm_digest(folder), chat_template_kwargs)
        return cls(name, digest, load_tokenizer(folder, chat_template_kwargs), classifier)

    def score(self, prompts: Sequence[str | list[Message]], responses: Sequence[str]) -> list[float | None]:
        """Return what `RewardModel.score` does."""
        return [reward.value for reward in self.rewards(prompts, responses)]

    def rewards(self, prompts: Sequence[str | list[Message]], responses: Sequence[str]) -> list[Reward]:
        """Return what `RewardModel.rewards` does."""
        rewards = rewards_of(self.tokenizer, self.classifier.context, prompts, responses, self.classifier.values)
        self.unscored.update(reward.error for reward in rewards if reward.error)
        return rewards


AnyRewardModel = RewardModel | VllmRewardModel


def vllm_digest(folder: Path) -> str:
    """Return the digest of the reward model in `folder` in vLLM, whose rewards differ in their last digits."""
    return content_key("vllm", model_digest(folder))


def rewards_of(
    tokenizer: PreTrainedTokenizerBase,
    context: int,
    prompts: Sequence[str | list[Message]],
    responses: Sequence[str],
    compute: Callable[[list[list[int]]], list[float]],
) -> list[Reward]:
    """Return the reward of each response, or why it has none. `compute` gives those of token sequences that fit.

    Raises InputError if the numbers of prompts and responses differ.
    """
    if len(prompts) != len(responses):
        raise InputError(f"{len(prompts)} prompts, but {len(responses)} responses")
    rewards: dict[int, Reward] = {}
    usable: dict[int, list[int]] = {}
    for index, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
        try:
            tokens = chat_tokens(tokenizer, prompt, response)
        except InputError as error:  # of one conversation, which the template refuses
            rewards[index] = Reward(None, str(error))
            continue
        if not response.strip():
            rewards[index] = Reward(None, EMPTY)
        elif len(tokens) > context:
            rewards[index] = Reward(None, f"too long for the reward model's context of {context} tokens")
        else:
            usable[index] = tokens
    rewards |= zip(usable, map(_reward, compute(list(usable.values()))), strict=True)
    return [rewards[index] for index in range(len(responses))]


def _reward(value: float) -> Reward:
    return Reward(value) if math.isfinite(value) else Reward(None, "the reward is not a number")


def check_reward_model(folder: Path) -> None:
    """Raise InputError if there is no reward model in `folder`. Nothing is loaded."""
    if not folder.exists():
        raise InputError(f"{folder}: no such folder; a reward model is a folder that trainer.reward_model saves")
    if not is_reward_model(folder):
        raise InputError(
            f"{folder}: not a reward model: its config.json names no sequence classifier with one label; train one "
            "with python -m trainer.reward_model"
        )


def is_reward_model(folder: Path) -> bool:
    """Return whether the model in `folder` classifies sequences with one label. Only its settings are read."""
    if is_adapter(folder):
        return settings_of(folder).get("task_type") == "SEQ_CLS"
    try:
        config = msgspec.json.decode(read_file(folder / "config.json"), type=_Config)
    except (InputError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    classifies = any(name.endswith(ARCHITECTURE) for name in config.architectures or ())
    return classifies and len(config.id2label or "01") == 1  # transformers' own default is two labels


class _Config(msgspec.Struct):
    """The fields of a model's config.json that tell its kind."""

    architectures: list[str] | None = None
    id2label: dict[str, object] | None = None


def chat_tokens(tokenizer: PreTrainedTokenizerBase, prompt: str | list[Message], response: str) -> list[int]:
    """Return the tokens of a prompt and its answer in the chat template, special tokens in either text taken apart."""
    chat = [*messages_of(prompt), {"role": "assistant", "content": response}]
    return encoded(tokenizer, [rendered(tokenizer, chat, opening=False)])[0]
