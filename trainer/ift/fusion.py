"""Mixes the model's own prediction of a token into that token's embedding (arXiv 2405.11870, Eq. 17).

    e_t = (1 - lambda) E(s_t) + lambda E(argmax p(. | s_1 .. s_{t-1}))    if t is a target, otherwise E(s_t)

Shapes: B rows, L tokens, D features, N targets, V tokens of the vocabulary.
"""

import functools
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from types import MethodType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from trainer.ift.options import Prediction

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

TOKENS, WORDS = 1024, 32768
"""Targets and words of the vocabulary per tile of logits. One tile is in memory at a time."""


@dataclass
class Fusion:
    """Settings and state of the predictions that are mixed into the inputs."""

    prediction: Prediction
    temperature: float
    generator: torch.Generator
    """The generator of drawn predictions."""
    table: nn.Module | None = None
    """A copy of the model's embeddings, or None for the model's own."""

    def copy_table(self, model: "PreTrainedModel") -> None:
        """Copy the current embeddings of the model."""
        if self.table is None:
            self.table = deepcopy(model.get_input_embeddings()).requires_grad_(False)
        self.table.load_state_dict(model.get_input_embeddings().state_dict())


def add_fusion(model: "PreTrainedModel", fusion: Fusion) -> None:
    """Give the model's forward an argument `fusion`, the lambda of its inputs. Without it nothing changes.

    It needs `input_ids` and `labels`. All of it happens inside the one forward pass that the trainer calls, so wrappers
    that gather weights or synchronise processes (FSDP, DDP, PEFT) need not know of it.
    """
    forward: Callable[..., Any] = model.forward

    @functools.wraps(type(model).forward)  # transformers reads its signature
    def fused(self: "PreTrainedModel", *args: Any, **kwargs: Any) -> Any:
        lambda_ = kwargs.pop("fusion", None)
        if lambda_ is None:
            return forward(*args, **kwargs)
        embeddings_BLD = fused_embeddings(self, fusion, lambda_, **kwargs)
        return forward(**kwargs | {"input_ids": None, "inputs_embeds": embeddings_BLD})

    model.forward = MethodType(fused, model)


@torch.no_grad()
def fused_embeddings(
    model: "PreTrainedModel",
    fusion: Fusion,
    lambda_: float,
    *,
    input_ids: Tensor,
    labels: Tensor,
    attention_mask: Tensor | None = None,
    **_: Any,
) -> Tensor:
    """Return the embeddings of `input_ids`, fused at the targets, whose `labels` are not -100, (B, L, D).

    They have no gradient, because the authors look them up in a frozen copy of the table. Tied embeddings still learn
    as the output head.
    """
    embed = fusion.table or model.get_input_embeddings()
    true_BLD = embed(input_ids)
    body = model.base_model(inputs_embeds=true_BLD, attention_mask=attention_mask, use_cache=False)
    is_target_BT = labels[:, 1:] != -100  # the state at t predicts token t + 1
    hidden_ND = body.last_hidden_state[:, :-1][is_target_BT]
    guessed_BL = input_ids.clone()
    guessed_BL[:, 1:][is_target_BT] = predictions(hidden_ND, model, fusion)
    return torch.lerp(true_BLD, embed(guessed_BL), lambda_)


@torch.no_grad()
def predictions(hidden_ND: Tensor, model: "PreTrainedModel", fusion: Fusion) -> Tensor:
    """Return the token that the model predicts after each hidden state, (N,), computed in tiles to save memory."""
    head = model.get_output_embeddings()
    weight_VD, bias_V = _unsharded(head.weight), _unsharded(head.bias)
    tokens = [_best(tile_ND, weight_VD, bias_V, model.config, fusion) for tile_ND in torch.split(hidden_ND, TOKENS)]
    return torch.cat(tokens) if tokens else hidden_ND.new_empty(0, dtype=torch.long)


def _best(hidden_ND: Tensor, weight_VD: Tensor, bias_V: Tensor | None, config: Any, fusion: Fusion) -> Tensor:
    """Return the best or the second best token over all tiles of the vocabulary, (N,)."""
    k = 2 if fusion.prediction == "second" else 1
    values_NK = hidden_ND.new_empty(len(hidden_ND), 0, dtype=torch.float32)
    tokens_NK = hidden_ND.new_empty(len(hidden_ND), 0, dtype=torch.long)
    for start, logits_NV in _tiles(hidden_ND, weight_VD, bias_V):
        if fusion.prediction == "sampled":
            logits_NV = _perturbed(transformed(logits_NV.float(), config), fusion)
        best = logits_NV.topk(k) if k > 1 else logits_NV.max(-1, keepdim=True)
        values_NK, order_NK = torch.cat((values_NK, best.values.float()), 1).topk(k)
        tokens_NK = torch.cat((tokens_NK, best.indices + start), 1).gather(1, order_NK)  # indices are within a tile
    return tokens_NK[:, -1]


def _tiles(hidden_ND: Tensor, weight_VD: Tensor, bias_V: Tensor | None) -> Iterator[tuple[int, Tensor]]:
    for start in range(0, len(weight_VD), WORDS):
        words = slice(start, start + WORDS)
        yield start, nn.functional.linear(hidden_ND, weight_VD[words], None if bias_V is None else bias_V[words])


def _perturbed(logits_NV: Tensor, fusion: Fusion) -> Tensor:
    """Return logits with Gumbel noise, whose maximum is a draw from the softmax and can be taken tile by tile."""
    # minus the log of an exponential variable is a Gumbel variable
    noise_NV = torch.empty_like(logits_NV).exponential_(generator=fusion.generator)
    return logits_NV / fusion.temperature - noise_NV.log()


def transformed(logits_NV: Tensor, config: "PreTrainedConfig") -> Tensor:
    """Return logits scaled and capped as in the model's own forward, by the config names that transformers uses.

    Scaling keeps the order of the logits, so only drawn predictions need it.
    """
    text = config.get_text_config()
    for name in ("logit_scale", "output_multiplier", "lm_head_multiplier"):
        logits_NV = logits_NV * (getattr(text, name, None) or 1.0)
    # Granite divides by what HyperCLOVA X multiplies with, under one name.
    divisor = getattr(text, "logits_scaling", None) or 1.0
    logits_NV = logits_NV * divisor if text.model_type == "hyperclovax" else logits_NV / divisor
    cap = getattr(text, "final_logit_softcapping", None)
    return logits_NV if cap is None else cap * torch.tanh(logits_NV / cap)


def _unsharded(weight: Any) -> Any:
    """Return the whole of a weight that is sharded over processes."""
    return weight.full_tensor() if isinstance(weight, DTensor) else weight
