"""Attention for a batch whose rows all begin with the same tokens.

A judge asks hundreds of questions that open with the same rubric. The keys and values of that prefix are computed
once and kept once. Each row adds only its own. While decoding, the queries of all rows meet the prefix in one matrix
product, so that a step reads the prefix from memory once and not once per row (the idea of Hydragen, arXiv 2402.05099,
without its kernels).

Shapes: B rows, H query heads, K key-value heads, G = H / K, P prefix tokens, Q query tokens, S tokens of a row so
far, D head.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AttentionInterface

NAME = "judgeloop_shared_prefix"
LayerKV = tuple[Tensor, Tensor]


class SharedPrefixCache:
    """The keys and values of one batch: a prefix without a batch dimension, and a buffer for the rows' own tokens."""

    def __init__(self, prefix: list[LayerKV], n_padding_B: Tensor, room: int) -> None:
        """Make a cache for rows that are padded on the left by `n_padding_B` tokens and grow to `room` tokens."""
        self.prefix = prefix
        self.room = room
        self.n_padding_B = n_padding_B
        self.layers: list[LayerKV] = []
        self.n_seen = 0

    def update(self, key_BKQD: Tensor, value_BKQD: Tensor, layer: int, *_: Any, **__: Any) -> LayerKV:
        """Store the new tokens of one layer and return all of the rows' own tokens (transformers' Cache interface)."""
        n_new = key_BKQD.shape[2]
        if layer == 0:  # the layers come in order: the first one counts for all
            self.n_seen += n_new
        if layer == len(self.layers):
            shape = (*key_BKQD.shape[:2], self.room)
            self.layers.append(
                (key_BKQD.new_empty(*shape, key_BKQD.shape[3]), value_BKQD.new_empty(*shape, value_BKQD.shape[3]))
            )
        keys, values = self.layers[layer]
        keys[:, :, self.n_seen - n_new : self.n_seen] = key_BKQD
        values[:, :, self.n_seen - n_new : self.n_seen] = value_BKQD
        return keys[:, :, : self.n_seen], values[:, :, : self.n_seen]

    def get_seq_length(self, layer: int = 0) -> int:
        """Return the number of tokens seen (transformers' Cache interface)."""
        return self.n_seen

    def rewind(self, n_seen: int) -> None:
        """Forget all but the first `n_seen` tokens. The next ones take their place."""
        self.n_seen = n_seen

    def select(self, rows: Tensor) -> None:
        """Keep only `rows`, in that order: the others are finished."""
        self.layers = [(keys[rows], values[rows]) for keys, values in self.layers]
        self.n_padding_B = self.n_padding_B[rows]

    def mask(self, n_new: int) -> Tensor:
        """Return which own tokens the next `n_new` queries see, (B, 1, Q, S): causal, padding left out."""
        total = self.n_seen + n_new  # asked before `update` counts the new tokens
        positions = torch.arange(total, device=self.n_padding_B.device)
        causal_QS = positions[None, :] <= positions[self.n_seen :, None]
        real_BS = positions[None, :] >= self.n_padding_B[:, None]
        return (causal_QS[None] & real_BS[:, None])[:, None]


def attend(
    module: torch.nn.Module,
    query_BHQD: Tensor,
    key_BKSD: Tensor,
    value_BKSD: Tensor,
    attention_mask: Tensor,
    scaling: float,
    shared_prefix: SharedPrefixCache,
    **_: Any,
) -> tuple[Tensor, None]:
    """Return the attention output, (B, Q, H, D), of rows over the shared prefix and their own tokens.

    transformers calls it by the name under which `register` put it. The mask covers the rows' own tokens only.
    """
    layer: int = module.layer_idx  # type: ignore[assignment]
    prefix = shared_prefix.prefix[layer] if shared_prefix.prefix else None
    step = _decode if query_BHQD.shape[2] == 1 else _prefill
    return step(query_BHQD * scaling, key_BKSD, value_BKSD, attention_mask, prefix).transpose(1, 2), None


def _decode(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, prefix: LayerKV | None) -> Tensor:
    """Return (B, H, 1, D) without a copy of any key or value: heads that share a key are rows of one product."""
    n_rows, n_heads, _, head_dim = query.shape
    n_kv = key.shape[1]
    n_group = n_heads // n_kv
    query_BKGD = query.reshape(n_rows, n_kv, n_group, head_dim)
    own_BKGS = query_BKGD @ key.transpose(2, 3)  # under autocast of another type than its factors
    # Not -inf: a row that sees nothing would become NaN.
    own_BKGS.masked_fill_(~mask, torch.finfo(own_BKGS.dtype).min)
    if prefix is None:
        return (own_BKGS.softmax(-1) @ value).reshape(n_rows, n_heads, 1, -1)
    prefix_key_KPD, prefix_value_KPD = prefix
    n_prefix = prefix_key_KPD.shape[1]
    together_KRD = query_BKGD.transpose(0, 1).reshape(n_kv, n_rows * n_group, head_dim)
    scores_KRP = together_KRD @ prefix_key_KPD.transpose(1, 2)
    scores_BKGP = scores_KRP.view(n_kv, n_rows, n_group, n_prefix).transpose(0, 1)
    weights = torch.cat((scores_BKGP, own_BKGS), dim=-1).softmax(-1)
    weights_KRP = weights[..., :n_prefix].transpose(0, 1).reshape(n_kv, n_rows * n_group, n_prefix)
    from_prefix = (weights_KRP @ prefix_value_KPD).view(n_kv, n_rows, n_group, -1).transpose(0, 1)
    return (from_prefix + weights[..., n_prefix:] @ value).reshape(n_rows, n_heads, 1, -1)


def _prefill(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, prefix: LayerKV | None) -> Tensor:
    """Return (B, H, Q, D) through torch's blockwise attention. Heads that share a key become further queries."""
    n_rows, n_heads, n_query, head_dim = query.shape
    n_kv = key.shape[1]
    n_group = n_heads // n_kv
    if prefix is not None:
        key = torch.cat((prefix[0].expand(n_rows, -1, -1, -1), key), dim=2)
        value = torch.cat((prefix[1].expand(n_rows, -1, -1, -1), value), dim=2)
        mask = functional.pad(mask, (prefix[0].shape[1], 0), value=True)
    else:
        mask = mask | ~mask.any(-1, keepdim=True)  # a padding query that saw nothing would become NaN
    query_BKRD = query.reshape(n_rows, n_kv, n_group * n_query, head_dim)
    mask_B1RS = mask.repeat(1, 1, n_group, 1)
    # `attend` has scaled the queries already. Row r of R is the query r % Q, so the mask repeats as a whole.
    out_BKRD = functional.scaled_dot_product_attention(query_BKRD, key, value, attn_mask=mask_B1RS, scale=1.0)
    return out_BKRD.reshape(n_rows, n_heads, n_query, -1)


def register() -> None:
    """Make `attend` known to transformers under NAME."""
    AttentionInterface.register(NAME, attend)


def supports(config: Any) -> bool:
    """Return whether a model is a plain causal transformer: no sliding window, soft cap, sink or recurrent layer."""
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    odd = ("attn_logit_softcapping", "sliding_window", "alibi", "attention_chunk_size", "is_encoder_decoder")
    return kinds == {"full_attention"} and not any(_active(config, name) for name in odd)


def _active(config: Any, name: str) -> bool:
    if name == "sliding_window" and getattr(config, "use_sliding_window", True) is False:
        return False
    return bool(getattr(config, name, None))
