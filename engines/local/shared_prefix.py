"""Attention for a batch whose rows all begin with the same tokens.

A judge asks hundreds of questions that open with the same rubric. The keys and values of that prefix are computed
once and kept once. Rows are read as a tree, so that what only some of them share, such as a prompt with several
answers, is computed once too. While decoding, the queries of all rows meet the prefix in one matrix product, so that
a step reads the prefix from memory once and not once per row (the idea of Hydragen, arXiv 2402.05099, without its
kernels).

Shapes: B rows, H query heads, K key-value heads, G = H / K, P prefix tokens, N tokens of a tree, Q query tokens,
S tokens of a row so far, D head.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AttentionInterface

from engines.local.tree import Block, Tree

NAME = "judgeloop_shared_prefix"
LayerKV = tuple[Tensor, Tensor]


class TreeCache:
    """The keys and values of the tokens of a tree, after a prefix without a batch dimension."""

    def __init__(self, prefix: list[LayerKV], tree: Tree, device: torch.device) -> None:
        self.prefix = prefix
        self.tree = tree
        self.device = device
        self.layers: list[LayerKV] = []
        self._masks: dict[torch.dtype, list[Tensor]] = {}

    def update(self, key_1KND: Tensor, value_1KND: Tensor, *_: Any, **__: Any) -> LayerKV:
        """Keep the tokens of the next layer and return them (transformers' Cache interface)."""
        self.layers.append((key_1KND[0], value_1KND[0]))
        return key_1KND, value_1KND

    def get_seq_length(self, layer: int = 0) -> int:
        """Return the number of tokens seen before these (transformers' Cache interface)."""
        return 0

    @cached_property
    def mask(self) -> Tensor:
        """A mask with the number of axes that transformers passes on as it is. Attention takes `blocks` instead."""
        # Without a place, so that any other attention than `attend` fails with it.
        return torch.ones((1, 1, 0, 0), dtype=torch.bool, device=self.device)

    def blocks(self, n_group: int, dtype: torch.dtype) -> list[tuple[Block, Tensor]]:
        """Return each block with its mask, (1, 1, G * Q, P + S): 0 where a query sees a key, else -inf.

        It is made once and not in each layer, and in the type of the queries, because torch would otherwise turn it
        into that in each layer.
        """
        if dtype not in self._masks:
            ends_N = torch.tensor(self.tree.subtree_ends, device=self.device)
            places_N = torch.arange(len(ends_N), device=self.device)
            n_prefix = self.prefix[0][0].shape[1] if self.prefix else 0
            self._masks[dtype] = [
                _mask(places_N, ends_N, block, n_prefix, n_group, dtype) for block in self.tree.blocks
            ]
        return list(zip(self.tree.blocks, self._masks[dtype], strict=True))


def _mask(places_N: Tensor, ends_N: Tensor, block: Block, n_prefix: int, n_group: int, dtype: torch.dtype) -> Tensor:
    queries_Q1 = places_N[block.start : block.end, None]
    keys_S = places_N[block.first_key : block.end]
    # An ancestor is the token itself or one before it whose subtree has not ended.
    hidden_QS = (keys_S > queries_Q1) | (ends_N[block.first_key : block.end] <= queries_Q1)
    mask_QS = torch.zeros(hidden_QS.shape, dtype=dtype, device=places_N.device).masked_fill(hidden_QS, -torch.inf)
    # Heads that share a key are further queries: row r of G * Q is the query r % Q.
    return functional.pad(mask_QS, (n_prefix, 0)).repeat(n_group, 1)[None, None]


class SharedPrefixCache:
    """The keys and values of one batch: a prefix without a batch dimension, and a buffer for the rows' own tokens."""

    def __init__(self, read: TreeCache, n_padding_B: Tensor, n_new: int) -> None:
        """Fork what `read` has of each row. Rows are padded on the left by `n_padding_B` and get `n_new` tokens more.

        `read` is empty afterwards, so that both are in memory for one layer only.
        """
        self.prefix = read.prefix
        self.n_padding_B = n_padding_B
        self.n_seen = max(map(len, read.tree.paths))
        # Padding has the values of the first token, which the mask hides.
        places = [[0] * (self.n_seen - len(path)) + path for path in read.tree.paths]
        places_BS = torch.tensor(places, device=n_padding_B.device)
        self.layers: list[LayerKV] = []
        while read.layers:
            keys, values = read.layers.pop(0)
            self.layers.append((self._forked(keys, places_BS, n_new), self._forked(values, places_BS, n_new)))

    def _forked(self, read_KND: Tensor, places_BS: Tensor, n_new: int) -> Tensor:
        n_rows, n_seen = places_BS.shape
        forked = read_KND.new_empty(n_rows, read_KND.shape[0], n_seen + n_new, read_KND.shape[2])
        forked[:, :, :n_seen] = read_KND[:, places_BS].transpose(0, 1)
        return forked

    def update(self, key_BKQD: Tensor, value_BKQD: Tensor, layer: int, *_: Any, **__: Any) -> LayerKV:
        """Store the new tokens of one layer and return all of the rows' own tokens (transformers' Cache interface)."""
        n_new = key_BKQD.shape[2]
        if layer == 0:  # the layers come in order: the first one counts for all
            self.n_seen += n_new
        keys, values = self.layers[layer]
        keys[:, :, self.n_seen - n_new : self.n_seen] = key_BKQD
        values[:, :, self.n_seen - n_new : self.n_seen] = value_BKQD
        return keys[:, :, : self.n_seen], values[:, :, : self.n_seen]

    def get_seq_length(self, layer: int = 0) -> int:
        """Return the number of tokens seen (transformers' Cache interface)."""
        return self.n_seen

    def select(self, rows: Tensor) -> None:
        """Keep only `rows`, in that order: the others are finished."""
        self.layers = [(keys[rows], values[rows]) for keys, values in self.layers]
        self.n_padding_B = self.n_padding_B[rows]

    def mask(self) -> Tensor:
        """Return which own tokens the next query sees, (B, 1, 1, S), with itself: all but padding."""
        columns_S = torch.arange(self.n_seen + 1, device=self.n_padding_B.device)  # asked before `update` counts it
        return (columns_S >= self.n_padding_B[:, None])[:, None, None]


def attend(
    module: torch.nn.Module,
    query_BHQD: Tensor,
    key_BKSD: Tensor,
    value_BKSD: Tensor,
    attention_mask: Tensor,
    scaling: float,
    shared_prefix: TreeCache | SharedPrefixCache,
    **_: Any,
) -> tuple[Tensor, None]:
    """Return the attention output, (B, Q, H, D), of rows over the shared prefix and their own tokens.

    transformers calls it by the name under which `register` put it. The mask covers the rows' own tokens only.
    """
    layer: int = module.layer_idx  # type: ignore[assignment]
    prefix = shared_prefix.prefix[layer] if shared_prefix.prefix else None
    if isinstance(shared_prefix, TreeCache):
        return _read(query_BHQD, key_BKSD, value_BKSD, scaling, prefix, shared_prefix), None
    return _decode(query_BHQD * scaling, key_BKSD, value_BKSD, attention_mask, prefix).transpose(1, 2), None


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


def _read(
    query: Tensor, key: Tensor, value: Tensor, scaling: float, prefix: LayerKV | None, cache: TreeCache
) -> Tensor:
    """Return (1, N, H, D) through torch's blockwise attention. Heads that share a key become further queries."""
    _, n_heads, n_tokens, head_dim = query.shape
    n_kv = key.shape[1]
    n_group = n_heads // n_kv
    out_1NHD = value.new_empty(1, n_tokens, n_heads, value.shape[3])
    for block, mask in cache.blocks(n_group, query.dtype):
        keys, values = (kv[:, :, block.first_key : block.end] for kv in (key, value))
        if prefix is not None:
            keys, values = (torch.cat((p[None], kv), dim=2) for p, kv in zip(prefix, (keys, values), strict=True))
        n_query = block.end - block.start
        query_1KRD = query[:, :, block.start : block.end].reshape(1, n_kv, n_group * n_query, head_dim)
        attended = functional.scaled_dot_product_attention(query_1KRD, keys, values, attn_mask=mask, scale=scaling)
        out_1NHD[:, block.start : block.end] = attended.reshape(1, n_heads, n_query, -1).transpose(1, 2)
    return out_1NHD


def register() -> None:
    """Make `attend` known to transformers under NAME."""
    AttentionInterface.register(NAME, attend)


def supports(config: Any) -> bool:
    """Return whether a model is a plain causal transformer: no sliding window, soft cap, sink or recurrent layer."""
    config = config.get_text_config()  # a model that also takes images keeps the settings of its layers there
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    odd = ("attn_logit_softcapping", "sliding_window", "alibi", "attention_chunk_size", "is_encoder_decoder")
    return kinds == {"full_attention"} and not any(_active(config, name) for name in odd)


def _active(config: Any, name: str) -> bool:
    if name == "sliding_window" and getattr(config, "use_sliding_window", True) is False:
        return False
    return bool(getattr(config, name, None))
