"""A model's forward passes over a batch: of its prompts, of one token more, and along the tokens of choices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import DynamicCache

from engines.local.choice_paths import Path, inner_nodes
from engines.local.shared_prefix import LayerKV, SharedPrefixCache

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Batch:
    """Rows that are computed together."""

    rows: list[int]
    """Their positions in the list that was given."""
    suffixes: list[list[int]]
    """Their own tokens, after the shared ones."""
    prefix: list[LayerKV]
    n_prefix: int


@dataclass(frozen=True)
class Started:
    """A batch whose prompts are computed."""

    logits: Tensor
    """Of the next token, (B, V)."""
    cache: Any
    n_padding: Tensor
    """The number of padding tokens before each row, (B,)."""


@dataclass(frozen=True)
class Forward:
    """A model, and whether the rows of a batch share the keys and values of what they all begin with."""

    model: PreTrainedModel
    filler: int
    """The token that pads a row."""
    shares_prefix: bool

    @torch.inference_mode()
    def prefix(self, tokens: list[int]) -> list[LayerKV]:
        """Return the keys and values of the shared prefix, per layer, each (K, P, D)."""
        if not tokens:
            return []
        cache = self.start(Batch([0], [tokens], [], 0), 0).cache
        assert isinstance(cache, SharedPrefixCache)
        return [(keys[0], values[0]) for keys, values in cache.layers]

    @torch.inference_mode()
    def start(self, batch: Batch, n_new: int) -> Started:
        """Compute the prompts of a batch. The cache has room for `n_new` more tokens."""
        distinct = list(dict.fromkeys(map(tuple, batch.suffixes)))  # several answers to a prompt begin alike
        started = self._start(batch, distinct, n_new)
        if len(distinct) == len(batch.suffixes):
            return started
        places = {suffix: place for place, suffix in enumerate(distinct)}
        rows_B = torch.tensor([places[tuple(suffix)] for suffix in batch.suffixes], device=self.model.device)
        self.keep(started.cache, rows_B)
        return Started(started.logits[rows_B], started.cache, started.n_padding[rows_B])

    def _start(self, batch: Batch, suffixes: Sequence[Sequence[int]], n_new: int) -> Started:
        width = max(map(len, suffixes))
        device = self.model.device
        n_padding_B = torch.tensor([width - len(suffix) for suffix in suffixes], device=device)
        tokens_BQ = torch.tensor([[self.filler] * (width - len(s)) + [*s] for s in suffixes], device=device)
        cache = SharedPrefixCache(batch.prefix, n_padding_B, width + n_new) if self.shares_prefix else self._own_cache()
        # The first own token of each row has the position after the prefix, wherever its column is.
        positions_BQ = (torch.arange(width, device=device) - n_padding_B[:, None]).clamp(min=0) + batch.n_prefix
        return Started(self._forward(tokens_BQ, positions_BQ, cache, n_padding_B), cache, n_padding_B)

    @torch.inference_mode()
    def keep(self, cache: Any, rows_B: Tensor) -> None:
        """Keep only the rows `rows_B` of a cache, in that order. A row may be kept several times."""
        cache.select(rows_B) if self.shares_prefix else cache.batch_select_indices(rows_B)

    @torch.inference_mode()
    def step(self, tokens_B: Tensor, positions_B: Tensor, cache: Any, n_padding_B: Tensor) -> Tensor:
        """Compute one token per row after the tokens in `cache`, and return the next-token logits, (B, V)."""
        return self._forward(tokens_B[:, None], positions_B[:, None], cache, n_padding_B)

    @torch.inference_mode()
    def path_logprobs(self, batch: Batch, paths: Sequence[Path]) -> list[list[float]]:
        """Return the log-probability of the tokens of each path after each row, (B, C)."""
        started = self.start(batch, max(map(len, paths)) - 1)  # the last token of a path is only read from the logits
        logits_BV = started.logits
        logprob_B: dict[Path, Tensor] = {(): torch.zeros_like(started.n_padding, dtype=torch.float32)}
        for node in inner_nodes(paths):
            if node:
                logits_BV = self._after(batch, node, started)
            logprobs_BV = logits_BV.float().log_softmax(-1)
            # A whole path may be the beginning of a longer one, and is then a node that is not its own child.
            for child in {path[: len(node) + 1] for path in paths if path[: len(node)] == node} - {node}:
                logprob_B[child] = logprob_B[node] + logprobs_BV[:, child[-1]]
        logprobs_BC: list[list[float]] = torch.stack([logprob_B[path] for path in paths], dim=1).tolist()
        return logprobs_BC

    def _after(self, batch: Batch, node: Path, started: Started) -> Tensor:
        """Return the logits after each row and the tokens of `node`, (B, V)."""
        if not self.shares_prefix:  # not every model's own cache can go back
            return self.start(replace(batch, suffixes=[[*suffix, *node] for suffix in batch.suffixes]), 0).logits
        n_before = max(map(len, batch.suffixes)) + len(node) - 1
        started.cache.rewind(n_before)  # the nodes that this one continues came before it and are still there
        positions_B = n_before - started.n_padding + batch.n_prefix
        return self.step(torch.full_like(positions_B, node[-1]), positions_B, started.cache, started.n_padding)

    def _own_cache(self) -> Any:
        return DynamicCache(config=self.model.config)

    def _forward(self, tokens_BQ: Tensor, positions_BQ: Tensor, cache: Any, n_padding_B: Tensor) -> Tensor:
        """Return the logits after the last token, (B, V)."""
        n_new = tokens_BQ.shape[1]
        if self.shares_prefix:
            extra = {"attention_mask": cache.mask(n_new), "shared_prefix": cache}
        else:
            seen = torch.arange(cache.get_seq_length() + n_new, device=tokens_BQ.device)
            extra = {"attention_mask": (seen[None, :] >= n_padding_B[:, None]).long()}
        output = self.model(
            input_ids=tokens_BQ,
            position_ids=positions_BQ,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
            **extra,
        )
        logits: Tensor = output.logits[:, -1]
        return logits
