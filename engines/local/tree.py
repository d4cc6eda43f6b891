"""Token sequences as one tree, so that a model computes only once what several of them begin with.

The tokens lie one after the other, each before those that go on from it (depth first). No place is padding. A token
sees itself and its ancestors, and an ancestor is a token before it whose subtree reaches beyond it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

BLOCK_TOKENS = 128
"""The most tokens whose attention is computed together. They see each other's places, even if only to mask them."""


@dataclass(frozen=True)
class Block:
    """Queries that are computed together, and the first key that one of them may see."""

    start: int
    end: int
    first_key: int


@dataclass(frozen=True)
class Tree:
    """The tokens of several sequences, N in all."""

    tokens: list[int]
    depths: list[int]
    """The number of ancestors of each token."""
    subtree_ends: list[int]
    """The place after the last token that goes on from each token."""
    paths: list[list[int]]
    """The places of the tokens of each sequence, in the order in which the sequences were given."""
    blocks: list[Block]


def tree_of(sequences: Sequence[Sequence[int]], block_tokens: int = BLOCK_TOKENS) -> Tree:
    """Return the tree of `sequences`, none of which is empty."""
    tokens: list[int] = []
    depths: list[int] = []
    ends: list[int] = []
    paths: list[list[int]] = [[] for _ in sequences]
    roots: list[int] = []
    before: Sequence[int] = ()
    path: list[int] = []
    # In this order a sequence shares with the one before it all that it shares with any before it.
    for index in sorted(range(len(sequences)), key=lambda index: list(sequences[index])):
        sequence, place = sequences[index], len(tokens)
        n_common = common_length(before, sequence)
        if n_common == 0:
            roots.append(place)
        for closed in path[n_common:]:
            ends[closed] = place
        tokens += sequence[n_common:]
        depths += range(n_common, len(sequence))
        ends += [0] * (len(sequence) - n_common)
        path = [*path[:n_common], *range(place, len(tokens))]
        paths[index], before = path, sequence
    for closed in path:
        ends[closed] = len(tokens)
    return Tree(tokens, depths, ends, paths, _blocks([*roots, len(tokens)], block_tokens))


def common_length(a: Sequence[int], b: Sequence[int]) -> int:
    """Return the number of tokens with which both begin."""
    for place, (one, other) in enumerate(zip(a, b, strict=False)):
        if one != other:
            return place
    return min(len(a), len(b))


def _blocks(bounds: Sequence[int], size: int) -> list[Block]:
    """Put whole trees between `bounds` together up to `size` tokens, and take a larger tree apart."""
    blocks: list[Block] = []
    for start, end in pairwise(bounds):
        if blocks and end - blocks[-1].first_key <= size:
            blocks[-1] = Block(blocks[-1].start, end, blocks[-1].first_key)
        else:
            blocks += [Block(at, min(at + size, end), start) for at in range(start, end, size)]
    return blocks
