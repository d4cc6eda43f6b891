"""The two models that PPO trains, the policy and a separate value model, and the token batches they read.

Shapes: B answers, L tokens of prompt and answer, T of the answer. A prompt is padded on the left and an answer on the
right, so that the answers of a batch begin in the same column and only their logits are computed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedModel, PreTrainedTokenizerBase

from engines.adapters import is_adapter, weights_folder
from engines.chat.template import load_tokenizer
from engines.merging import REWARDS, WRITES, load_model
from engines.models import FLOAT32, inference_dtype
from engines.reward_model import is_reward_model
from trainer.ppo.losses import entropy, token_logprobs
from trainer.training.lora.adapter import new_adapter
from trainer.training.memory.size import WHOLE, MemorySettings
from trainer.training.options import LoraOptions
from trainer.training.processes import is_first, is_sharded
from trainer.training.sharding import unfilled_model


@dataclass(frozen=True)
class Tokens:
    """Prompts and answers as the token tensors that a model reads."""

    inputs: dict[str, Tensor]
    """Token ids, attention mask and positions, each (B, L)."""
    answers: Tensor
    """Token ids of the answers, (B, T)."""
    mask: Tensor
    """(B, T), True on an answer's own tokens including its end token."""


def padded(rows: Sequence[tuple[list[int], list[int]]], filler: int, device: torch.device) -> Tokens:
    """Return a padded batch of prompts and answers. Each answer has at least one token."""
    widest, longest = max(len(prompt) for prompt, _ in rows), max(len(answer) for _, answer in rows)
    ids, mask = [], []
    for prompt, answer in rows:
        left, right = widest - len(prompt), longest - len(answer)
        ids.append([filler] * left + prompt + answer + [filler] * right)
        mask.append([0] * left + [1] * (len(prompt) + len(answer)) + [0] * right)
    ids_BL, mask_BL = torch.tensor(ids, device=device), torch.tensor(mask, device=device)
    # positions count from the first real token, whatever the padding on the left
    positions_BL = (mask_BL.cumsum(1) - 1).clamp(min=0)
    inputs = {"input_ids": ids_BL, "attention_mask": mask_BL, "position_ids": positions_BL}
    return Tokens(inputs, ids_BL[:, widest:], mask_BL[:, widest:].bool())


def answer_logits(policy: Callable[..., Any], tokens: Tokens) -> Tensor:
    """Return the logits that each answer token was drawn from, (B, T, V). Those of the prompts are not computed."""
    n_positions = tokens.answers.shape[1] + 1  # the prompt's last token predicts the answer's first
    logits_BTV: Tensor = policy(**tokens.inputs, logits_to_keep=n_positions, use_cache=False).logits[:, :-1]
    return logits_BTV


class ValueModel(nn.Module):
    """A transformer's body with a linear layer, initialised to zero, that reads a value at each position."""

    def __init__(self, body: PreTrainedModel) -> None:
        super().__init__()
        self.body = body
        self._no_split_modules = body._no_split_modules  # the layers that sharding gathers one by one
        self.head = nn.Linear(body.config.get_text_config().hidden_size, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, tokens: Tokens) -> Tensor:
        """Return the value before each answer token is drawn, (B, T), in float32."""
        hidden_BLH = self.body(**tokens.inputs, use_cache=False).last_hidden_state
        # the value before token t is read at token t - 1
        read_BTH = hidden_BLH[:, -tokens.answers.shape[1] - 1 : -1].to(self.head.weight.dtype)
        values_BT: Tensor = self.head(read_BTH)[..., 0].float()
        return values_BT


class ActorCritic(nn.Module):
    """The policy and the value model as one module, so that they share an optimiser and a gradient norm."""

    def __init__(self, policy: PreTrainedModel, value: ValueModel, temperature: float) -> None:
        super().__init__()
        self.policy, self.value, self.temperature = policy, value, temperature

    def forward(self, tokens: Tokens) -> tuple[Tensor, Tensor, Tensor]:
        """Return the log-probabilities, entropies and values of the answer tokens, each (B, T)."""
        logits_BTV = answer_logits(self.policy, tokens)
        logprobs_BT = token_logprobs(logits_BTV, tokens.answers, self.temperature)
        return logprobs_BT, entropy(logits_BTV, self.temperature), self.value(tokens)


def load_value(
    policy: Path,
    reward_model: Path | None,
    tokenizer: PreTrainedTokenizerBase,
    lora: LoraOptions = WHOLE,
    seed: int = 0,
    memory: MemorySettings | None = None,
) -> ValueModel:
    """Return a value model with the body of the reward model if that one fits the policy, or else with the policy's.

    With `lora` that body is frozen, and an adapter of its own learns beside the head. If the weights are sharded, only
    the first process reads them.

    The value model reads the policy's tokens, so the reward model must have the same vocabulary and architecture.
    """
    folder = policy
    if reward_model is not None:
        kinds = [AutoConfig.from_pretrained(weights_folder(model)).model_type for model in (policy, reward_model)]
        same_tokens = load_tokenizer(reward_model).get_vocab() == tokenizer.get_vocab()
        folder = reward_model if kinds[0] == kinds[1] and same_tokens else policy
    dtype = getattr(torch, memory.dtype if memory else inference_dtype(folder) if lora.r else FLOAT32)
    attention = {"attn_implementation": memory.attn} if memory and memory.attn else {}
    if is_sharded() and not is_first():
        body = unfilled_model(folder, REWARDS if is_reward_model(folder) else WRITES, memory).base_model
    elif is_adapter(folder):
        body = load_model(folder, dtype, REWARDS if is_reward_model(folder) else WRITES, **attention).base_model
    else:
        body = AutoModel.from_pretrained(folder, dtype=dtype, use_safetensors=True, **attention)
    return ValueModel(new_adapter(body.requires_grad_(False), lora, seed, None) if lora.r else body)


def settle(model: nn.Module, *, checkpointing: bool) -> None:
    """Turn dropout off, so that probabilities are reproducible, and gradient checkpointing on if asked for."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.0  # type: ignore[assignment]
        if checkpointing and hasattr(module, "gradient_checkpointing_enable"):
            module.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})  # type: ignore[operator]
    model.train(checkpointing)  # transformers checkpoints in training mode only
