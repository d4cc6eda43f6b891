"""Attention for a batch whose rows all begin with the same tokens.

A judge asks hundreds of questions that open with the same rubric. The keys and values of that prefix are computed
once and kept once. Rows are read as a tree, so that what only some of them share, such as a prompt with several
answers, is computed once too. What is written after them is in `engines/local/forked_cache.py`.

Shapes: B rows, H query heads, K key-value heads, G = H / K, P prefix tokens, N tokens of a tree, Q query tokens,
S tokens of a row so far, D head.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AttentionInterface

from engines.local.forked_cache import ForkedCache, LayerKV
from engines.local.tree import Block, Tree

NAME = "judgeloop_shared_prefix"


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


def no_mask(device: torch.device) -> Tensor:
    """Return a mask with the number of axes that transformers passes on as it is. `attend` takes none."""
    # Without a place, so that any other attention than `attend` fails with it.
    return torch.ones((1, 1, 0, 0), dtype=torch.bool, device=device)


def attend(
    module: torch.nn.Module,
    query_BHQD: Tensor,
    key_BKSD: Tensor,
    value_BKSD: Tensor,
    attention_mask: Tensor,
    scaling: float,
    shared_prefix: TreeCache | ForkedCache,
    **__: Any,
) -> tuple[Tensor, None]:
    """Return the attention output, (B, Q, H, D), of rows over the shared prefix and their own tokens.

    transformers calls it by the name under which `register` put it.
    """
    layer: int = module.layer_idx  # type: ignore[assignment]
    if isinstance(shared_prefix, TreeCache):
        prefix = shared_prefix.prefix[layer] if shared_prefix.prefix else None
        return _read(query_BHQD, key_BKSD, value_BKSD, scaling, prefix, shared_prefix), None
    n_rows, n_heads, _, head_dim = query_BHQD.shape
    query_BKGD = (query_BHQD * scaling).reshape(n_rows, key_BKSD.shape[1], -1, head_dim)
    found_BKGD = shared_prefix.attend(layer, query_BKGD, key_BKSD, value_BKSD)
    return found_BKGD.reshape(n_rows, 1, n_heads, -1), None


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
