"""The keys and values of rows that are written together, where each answer to a prompt goes on from one copy of it.

A row's tokens lie in three parts: the prefix that all rows share, its prompt, which several answers may share, and what
it has written itself. The queries of all rows that share a part meet it in one matrix product, so a step reads it from
memory once (the idea of Hydragen, arXiv 2402.05099, without its kernels).

Shapes: B rows, M prompts, R the most rows of a prompt, K key-value heads, G query heads for each of them, P prefix
tokens, S prompt tokens, T new tokens, D head.
"""

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor

LayerKV = tuple[Tensor, Tensor]


class ForkedCache:
    """The keys and values of rows that began together. The prefix has no batch dimension."""

    def __init__(self, prefix: list[LayerKV], read: list[LayerKV], paths: Sequence[Sequence[int]], n_new: int) -> None:
        """Take over what was read at the places of each row's path, with room for `n_new` tokens more.

        Each layer of `read` is (K, N, D). It is empty afterwards, so that both are in memory for one layer only.
        """
        prompts = {path: number for number, path in enumerate(dict.fromkeys(map(tuple, paths)))}
        device = read[0][0].device
        self.prefix = prefix
        self.prompt_of = [prompts[tuple(path)] for path in paths]
        self.prompt_lengths = list(map(len, prompts))
        self.n_own = 0
        width = max(self.prompt_lengths)
        places_MS = torch.tensor([[*path, *[path[-1]] * (width - len(path))] for path in prompts], device=device)
        self.prompts: list[LayerKV] = []  # each (M, K, S, D)
        self.own: list[LayerKV] = []  # each (B, K, T, D)
        while read:
            keys, values = read.pop(0)
            self.prompts.append((_forked(keys, places_MS), _forked(values, places_MS)))
            self.own.append((_room(keys, len(paths), n_new), _room(values, len(paths), n_new)))
        self._arrange()

    def update(self, key_BK1D: Tensor, value_BK1D: Tensor, *_: Any, **__: Any) -> LayerKV:
        """Return the new tokens of one layer, which `attend` stores (transformers' Cache interface)."""
        return key_BK1D, value_BK1D

    def get_seq_length(self, layer: int = 0) -> int:
        """Return the number of tokens seen before these (transformers' Cache interface)."""
        return 0

    def drop(self, gone: Collection[int]) -> list[int]:
        """Drop these rows and return the former places of those that are left, in their new order."""
        order = closed_up(len(self.prompt_of), gone)
        self.own = [(_moved(k, order, self.n_own), _moved(v, order, self.n_own)) for k, v in self.own]
        left = [self.prompt_of[row] for row in order]
        prompts = closed_up(len(self.prompt_lengths), set(range(len(self.prompt_lengths))) - set(left))
        if len(prompts) < len(self.prompt_lengths):
            width = max(self.prompt_lengths)
            self.prompts = [(_moved(k, prompts, width), _moved(v, prompts, width)) for k, v in self.prompts]
        self.prompt_lengths = [self.prompt_lengths[prompt] for prompt in prompts]
        self.prompt_of = [prompts.index(prompt) for prompt in left]
        self._arrange()
        return order

    def _arrange(self) -> None:
        """Lay the rows out by prompt, (M, R). Where a prompt has fewer than R rows, another row fills the place."""
        rows_of: list[list[int]] = [[] for _ in self.prompt_lengths]
        for row, prompt in enumerate(self.prompt_of):
            rows_of[prompt].append(row)
        self.n_each = max(map(len, rows_of), default=0)
        grid = [row for rows in rows_of for row in rows + [0] * (self.n_each - len(rows))]
        places = [prompt * self.n_each + rows_of[prompt].index(row) for row, prompt in enumerate(self.prompt_of)]
        device = self.prompts[0][0].device
        is_plain = grid == places == list(range(len(grid)))
        self.grid = None if is_plain else (torch.tensor(grid, device=device), torch.tensor(places, device=device))
        width = self.prompts[0][0].shape[2]  # a longer prompt may have gone
        columns_S = torch.arange(width, device=device)
        hidden_MS = columns_S >= torch.tensor(self.prompt_lengths, device=device)[:, None]
        self.hidden_M11S = hidden_MS[:, None, None] if min(self.prompt_lengths) < width else None

    def attend(self, layer: int, query_BKGD: Tensor, key_BK1D: Tensor, value_BK1D: Tensor) -> Tensor:
        """Store the new token of each row and return what its scaled query finds, (B, K, G, D)."""
        if layer == 0:  # the layers come in order: the first one counts for all
            self.n_own += 1
        prompt_keys, prompt_values = self.prompts[layer]
        own_keys, own_values = (kv[:, :, : self.n_own] for kv in self.own[layer])
        own_keys[:, :, -1:], own_values[:, :, -1:] = key_BK1D, value_BK1D
        of_prompt = self._by_prompt(query_BKGD) @ prompt_keys.transpose(2, 3)
        if self.hidden_M11S is not None:
            # Not -inf: a row that sees nothing would become NaN.
            of_prompt.masked_fill_(self.hidden_M11S, torch.finfo(of_prompt.dtype).min)
        scores = [self._by_row(of_prompt, query_BKGD.shape[2]), query_BKGD @ own_keys.transpose(2, 3)]
        if self.prefix:
            scores.insert(0, _of_all(query_BKGD, self.prefix[layer][0].transpose(1, 2)))
        weights = torch.cat(scores, dim=-1).softmax(-1)
        *of_prefix, of_prompt, own = torch.split(weights, [part.shape[-1] for part in scores], dim=-1)
        found = own @ own_values + self._by_row(self._by_prompt(of_prompt) @ prompt_values, query_BKGD.shape[2])
        return found + _of_all(of_prefix[0], self.prefix[layer][1]) if of_prefix else found

    def _by_prompt(self, rows_BKGX: Tensor) -> Tensor:
        """Return (M, K, R * G, X)."""
        if self.grid is not None:
            rows_BKGX = rows_BKGX[self.grid[0]]
        _, n_kv, n_group, size = rows_BKGX.shape
        grid_MRKGX = rows_BKGX.reshape(-1, self.n_each, n_kv, n_group, size)
        return grid_MRKGX.transpose(1, 2).reshape(-1, n_kv, self.n_each * n_group, size)

    def _by_row(self, prompts_MKRX: Tensor, n_group: int) -> Tensor:
        """Return (B, K, G, X)."""
        n_prompts, n_kv, _, size = prompts_MKRX.shape
        grid_MKRGX = prompts_MKRX.view(n_prompts, n_kv, self.n_each, n_group, size)
        rows_BKGX = grid_MKRGX.transpose(1, 2).reshape(-1, n_kv, n_group, size)
        return rows_BKGX if self.grid is None else rows_BKGX[self.grid[1]]


def closed_up(n: int, gone: Collection[int]) -> list[int]:
    """Return the places below `n` without those that are gone: the last ones are put where these were."""
    left = [place for place in range(n) if place not in gone]
    order, moved = list(range(len(left))), left[::-1]
    for place in sorted(gone):
        if place < len(left):
            order[place] = moved.pop(0)
    return order


def _forked(read_KND: Tensor, places_MS: Tensor) -> Tensor:
    return read_KND[:, places_MS].transpose(0, 1).contiguous()


def _room(read_KND: Tensor, n_rows: int, n_new: int) -> Tensor:
    return read_KND.new_empty(n_rows, read_KND.shape[0], n_new, read_KND.shape[2])


def _moved(kv: Tensor, order: list[int], n_columns: int) -> Tensor:
    """Return the rows `order` without a copy of those that stay, until no more than half are left."""
    for at, row in enumerate(order):
        if at != row:
            kv[at, :, :n_columns] = kv[row, :, :n_columns]
    left = kv[: len(order)]
    return left.clone() if 2 * left.nbytes <= left.untyped_storage().nbytes() else left


def _of_all(rows_BKGX: Tensor, shared_KXY: Tensor) -> Tensor:
    """Return the products with what all rows share, (B, K, G, Y)."""
    n_rows, n_kv, n_group, _ = rows_BKGX.shape
    together_KRX = rows_BKGX.transpose(0, 1).reshape(n_kv, n_rows * n_group, -1)
    return (together_KRX @ shared_KXY).view(n_kv, n_rows, n_group, -1).transpose(0, 1)
