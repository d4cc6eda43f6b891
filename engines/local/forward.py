"""A model's forward passes over a batch: of its prompts, of one token more, and along the tokens of choices."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import DynamicCache

from engines.choice_tokens.paths import Path, inner_nodes
from engines.local.forked_cache import ForkedCache, LayerKV
from engines.local.shared_prefix import TreeCache, no_mask
from engines.local.tree import tree_of

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


@dataclass
class PaddedCache:
    """The model's own cache of rows that are padded on the left."""

    kept: DynamicCache
    n_padding: Tensor
    """The number of padding tokens before each row, (B,)."""

    def drop(self, gone: Collection[int]) -> list[int]:
        """Drop these rows and return the former places of those that are left."""
        order = [row for row in range(len(self.n_padding)) if row not in gone]
        self.select(torch.tensor(order, device=self.n_padding.device))
        return order

    def select(self, rows_B: Tensor) -> None:
        """Keep only these rows, in that order. A row may be kept several times."""
        self.kept.batch_select_indices(rows_B)
        self.n_padding = self.n_padding[rows_B]


Cache = ForkedCache | PaddedCache


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
        return self.read([tokens], [], 0)[1].layers if tokens else []

    @torch.inference_mode()
    def read(
        self,
        sequences: Sequence[Sequence[int]],
        prefix: list[LayerKV],
        n_prefix: int,
        wanted: Sequence[Sequence[int]] | None = None,
    ) -> tuple[Tensor, TreeCache]:
        """Compute `sequences` after the prefix as a tree: what several of them begin with once.

        Return the logits after the `wanted` places of each sequence one after the other, (number of places, V), by
        default after its end. Only for a model that shares prefixes.
        """
        tree = tree_of(sequences)
        device = self.model.device
        cache = TreeCache(prefix, tree, device)
        places = [
            path[at] for path, ats in zip(tree.paths, wanted or [[-1]] * len(tree.paths), strict=True) for at in ats
        ]
        distinct = list(dict.fromkeys(places))
        tokens_1N = torch.tensor([tree.tokens], device=device)
        positions_1N = torch.tensor([tree.depths], device=device) + n_prefix
        logits = self._forward(tokens_1N, positions_1N, cache, no_mask(device), torch.tensor(distinct, device=device))[
            0
        ]
        if len(distinct) == len(places):
            return logits, cache
        at = {place: index for index, place in enumerate(distinct)}
        return logits[torch.tensor([at[place] for place in places], device=device)], cache

    @torch.inference_mode()
    def before_ends(self, sequences: Sequence[Sequence[int]], n_ends: Sequence[int]) -> Tensor:
        """Return the logits of the last `n_ends` tokens of each sequence, one row a token, (sum of n_ends, V)."""
        # The logits of a place are for the next token.
        if self.shares_prefix:
            wanted = [range(-n - 1, -1) for n in n_ends]
            return self.read(sequences, [], 0, wanted)[0]
        logits_BQV, _ = self._start(sequences, max(n_ends) + 1)
        return torch.cat([logits_QV[-n - 1 : -1] for logits_QV, n in zip(logits_BQV, n_ends, strict=True)])

    @torch.inference_mode()
    def start(self, batch: Batch, n_new: int) -> tuple[Tensor, Cache]:
        """Compute the prompts of a batch: the logits of the next token, (B, V), and a cache for `n_new` tokens more."""
        if self.shares_prefix:
            logits_BV, read = self.read(batch.suffixes, batch.prefix, batch.n_prefix)
            return logits_BV, ForkedCache(read.prefix, read.layers, read.tree.paths, n_new)
        distinct = list(dict.fromkeys(map(tuple, batch.suffixes)))  # several answers to a prompt begin alike
        logits_BQV, cache = self._start(distinct)
        places = {suffix: place for place, suffix in enumerate(distinct)}
        rows_B = torch.tensor([places[tuple(suffix)] for suffix in batch.suffixes], device=self.model.device)
        cache.select(rows_B)
        return logits_BQV[rows_B, -1], cache

    def _start(self, rows: Sequence[Sequence[int]], n_logits: int = 1) -> tuple[Tensor, PaddedCache]:
        """Compute padded rows with the model's own cache and attention. The logits are (B, n_logits, V)."""
        width, device = max(map(len, rows)), self.model.device
        n_padding_B = torch.tensor([width - len(row) for row in rows], device=device)
        tokens_BQ = torch.tensor([[self.filler] * (width - len(row)) + [*row] for row in rows], device=device)
        # The first token of each row has the position 0, wherever its column is.
        positions_BQ = (torch.arange(width, device=device) - n_padding_B[:, None]).clamp(min=0)
        cache = DynamicCache(config=self.model.config)
        mask_BS = self._padding_mask(width, n_padding_B)
        logits_BQV = self._forward(tokens_BQ, positions_BQ, cache, mask_BS, n_logits)
        return logits_BQV, PaddedCache(cache, n_padding_B)

    @torch.inference_mode()
    def drop(self, cache: Cache, gone: Collection[int]) -> list[int]:
        """Drop rows of a cache and return the former places of those that are left, in their new order."""
        return cache.drop(gone)

    @torch.inference_mode()
    def step(self, lasts: Sequence[tuple[int, int]], cache: Cache) -> Tensor:
        """Compute one token more of each row of a cache, and return the next-token logits, (B, V).

        `lasts` are the tokens with their positions.
        """
        device = self.model.device
        tokens_B1, positions_B1 = torch.tensor(lasts, device=device)[:, :, None].unbind(1)
        if isinstance(cache, ForkedCache):
            return self._forward(tokens_B1, positions_B1, cache, no_mask(device), 1)[:, -1]
        mask_BS = self._padding_mask(cache.kept.get_seq_length() + 1, cache.n_padding)
        return self._forward(tokens_B1, positions_B1, cache.kept, mask_BS, 1)[:, -1]

    @torch.inference_mode()
    def path_logprobs(self, batch: Batch, paths: Sequence[Path]) -> list[list[float]]:
        """Return the log-probability of the tokens of each path after each row, (B, C)."""
        nodes = inner_nodes(paths)
        logits_by_node = self._after(batch, nodes)
        logprob_B: dict[Path, Tensor] = {(): torch.zeros(len(batch.rows), device=self.model.device)}
        for node, logits_BV in zip(nodes, logits_by_node, strict=True):
            logprobs_BV = logits_BV.float().log_softmax(-1)
            # A whole path may be the beginning of a longer one, and is then a node that is not its own child.
            for child in {path[: len(node) + 1] for path in paths if path[: len(node)] == node} - {node}:
                logprob_B[child] = logprob_B[node] + logprobs_BV[:, child[-1]]
        logprobs_BC: list[list[float]] = torch.stack([logprob_B[path] for path in paths], dim=1).tolist()
        return logprobs_BC

    def _after(self, batch: Batch, nodes: Sequence[Path]) -> list[Tensor]:
        """Return the logits after each row and the tokens of each node, a (B, V) for each node."""
        rows = [[[*suffix, *node] for suffix in batch.suffixes] for node in nodes]
        if not self.shares_prefix:  # not every model's own cache can go back
            return [self._start(with_node)[0][:, -1] for with_node in rows]
        logits, _ = self.read([row for with_node in rows for row in with_node], batch.prefix, batch.n_prefix)
        return list(torch.split(logits, len(batch.suffixes)))

    def _padding_mask(self, width: int, n_padding_B: Tensor) -> Tensor:
        return (torch.arange(width, device=n_padding_B.device) >= n_padding_B[:, None]).long()

    def _forward(self, tokens_BQ: Tensor, positions_BQ: Tensor, cache: Any, mask: Tensor, kept: int | Tensor) -> Tensor:
        """Return the logits after the last `kept` tokens, or after those at the places `kept`, (B, kept, V)."""
        logits: Tensor = self.model(
            input_ids=tokens_BQ,
            position_ids=positions_BQ,
            attention_mask=mask,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=kept,
            **({"shared_prefix": cache} if self.shares_prefix else {}),
        ).logits
        return logits
