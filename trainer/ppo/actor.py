"""The two models that PPO trains: the policy, and a value model of its own; and the rows they read.

Shapes: B answers, L tokens of prompt and answer, T of the answer. A prompt is padded on the left and an answer on the
right, so that the answers of a batch begin in the same column and only their logits are computed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from trainer.ppo.losses import entropy, token_logprobs

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Tokens:
    """Prompts and answers as a model reads them."""

    inputs: dict[str, Tensor]
    """Ids, attention mask and positions, each (B, L)."""
    answers: Tensor
    """Ids of the answers, (B, T)."""
    mask: Tensor
    """(B, T), True on an answer's own tokens, the one that ends it included."""


def padded(rows: Sequence[tuple[list[int], list[int]]], filler: int, device: torch.device) -> Tokens:
    """Return the tokens of prompts and answers, each answer with a token at least."""
    widest, longest = max(len(prompt) for prompt, _ in rows), max(len(answer) for _, answer in rows)

    sides = [(widest - len(prompt), longest - len(answer)) for prompt, answer in rows]
    ids = [[filler] * left + one[0] + one[1] + [filler] * right for one, (left, right) in zip(rows, sides, strict=True)]
    seen = [[0] * left + [1] * (widest - left + longest - right) + [0] * right for left, right in sides]
    ids_BL, seen_BL = torch.tensor(ids, device=device), torch.tensor(seen, device=device)
    positions_BL = (seen_BL.cumsum(1) - 1).clamp(min=0)
    inputs = {"input_ids": ids_BL, "attention_mask": seen_BL, "position_ids": positions_BL}
    return Tokens(inputs, ids_BL[:, widest:], seen_BL[:, widest:].bool())


def answer_logits(policy: nn.Module, tokens: Tokens) -> Tensor:
    """Return the logits that each token of the answers was drawn from, (B, T, V); those of prompts are not computed."""
    n_kept = tokens.answers.shape[1] + 1  # the first of an answer's tokens is drawn after the prompt's last
    logits_BTV: Tensor = policy(**tokens.inputs, logits_to_keep=n_kept, use_cache=False).logits[:, :-1]
    return logits_BTV


class ValueModel(nn.Module):
    """A transformer's body with a linear layer that reads a value at each position; the layer begins at zero."""

    def __init__(self, body: "PreTrainedModel") -> None:
        super().__init__()
        self.body = body
        self.head = nn.Linear(body.config.get_text_config().hidden_size, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, tokens: Tokens) -> Tensor:
        """Return the value before each token of the answers is drawn, (B, T), in float32."""
        hidden_BLH = self.body(**tokens.inputs, use_cache=False).last_hidden_state
        values_BT: Tensor = self.head(hidden_BLH[:, -tokens.answers.shape[1] - 1 : -1])[..., 0].float()
        return values_BT


class ActorCritic(nn.Module):
    """Policy and value model as one module, so that they share an optimiser and a gradient norm."""

    def __init__(self, policy: "PreTrainedModel", value: ValueModel, temperature: float) -> None:
        super().__init__()
        self.policy, self.value, self.temperature = policy, value, temperature

    def forward(self, tokens: Tokens) -> tuple[Tensor, Tensor, Tensor]:
        """Return log-probabilities, entropies and values of the answers' tokens, each (B, T)."""
        logits_BTV = answer_logits(self.policy, tokens)
        logprobs_BT = token_logprobs(logits_BTV, tokens.answers, self.temperature)
        return logprobs_BT, entropy(logits_BTV, self.temperature), self.value(tokens)


def load_value(policy: Path, reward_model: Path | None, tokenizer: "PreTrainedTokenizerBase") -> ValueModel:
    """Return a value model with the body of the reward model, or the policy's where that one is of another make.

    It reads the policy's tokens, so the reward model must have the same vocabulary and the same architecture.
    """
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    folder = policy
    if reward_model is not None:
        kinds = [AutoConfig.from_pretrained(one).model_type for one in (policy, reward_model)]
        same_tokens = AutoTokenizer.from_pretrained(reward_model).get_vocab() == tokenizer.get_vocab()
        folder = reward_model if kinds[0] == kinds[1] and same_tokens else policy
    return ValueModel(AutoModel.from_pretrained(folder, dtype=torch.float32, use_safetensors=True))


def settle(model: nn.Module, *, checkpointing: bool) -> None:
    """Turn dropout off, so that a probability is the same each time it is computed; checkpointing saves memory."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.0  # type: ignore[assignment]
        if checkpointing and hasattr(module, "gradient_checkpointing_enable"):
            module.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})  # type: ignore[operator]
    model.train(checkpointing)
