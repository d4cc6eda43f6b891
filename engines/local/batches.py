"""Plans how a list of token sequences is computed: one shared prefix, then batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from engines.local.tree import common_length

MIN_SHARED = 16
MAX_BATCH_TOKENS = 16_384  # bounds the memory of a batch on an accelerator
WRITTEN_BATCH_TOKENS = 32_768
"""The same for rows that are written after a shared prefix. Most of their tokens are still to come."""
CACHED_BATCH_TOKENS = 1024
"""The tokens that a CPU computes fastest in one batch if it only reads prompts, because its caches hold no more."""


@dataclass(frozen=True)
class Plan:
    """Batches of positions in the list, and how many tokens all sequences begin with alike."""

    n_prefix: int
    batches: list[list[int]]


def plan(
    sequences: Sequence[list[int]],
    batch_size: int,
    n_new: int,
    *,
    share_prefix: bool,
    max_tokens: int = MAX_BATCH_TOKENS,
) -> Plan:
    """Return a plan of padded batches that depends on nothing but its arguments.

    Sequences are sorted by length, longest first, so that the largest batch is met first. A batch holds at most
    `batch_size` rows and `max_tokens` tokens, including its padding and the `n_new` tokens to come.
    """
    n_prefix = _common_prefix(sequences) if share_prefix else 0
    order = sorted(range(len(sequences)), key=lambda index: (-len(sequences[index]), sequences[index], index))
    batches: list[list[int]] = []
    for _, alike in groupby(order, key=sequences.__getitem__):
        rows = list(alike)
        # Answers to one prompt are in one batch, unless half of a batch would be left empty for it.
        room = batch_size - len(batches[-1]) if batches else 0
        begins = len(rows) > room and 2 * room <= batch_size
        for index in rows:
            widest = len(sequences[batches[-1][0]]) - n_prefix + n_new if batches else 0
            full = begins or len(batches[-1]) == batch_size or (len(batches[-1]) + 1) * widest > max_tokens
            batches.append([index]) if full else batches[-1].append(index)
            begins = False
    return Plan(n_prefix, batches)


def plan_trees(sequences: Sequence[list[int]], batch_size: int, max_tokens: int, *, share_prefix: bool) -> Plan:
    """Return a plan of batches that are read as trees, so that sequences with a common beginning are in one batch.

    A batch holds at most `batch_size` rows and `max_tokens` tokens after the prefix. A beginning that several of its
    rows share counts once. A longer sequence has a batch of its own.
    """
    n_prefix = _common_prefix(sequences) if share_prefix else 0
    order = sorted(range(len(sequences)), key=sequences.__getitem__)
    shared = [0] + [max(common_length(sequences[a], sequences[b]) - n_prefix, 0) for a, b in pairwise(order)]
    batches: list[list[int]] = []
    start = 0
    while start < len(order):
        sizes = [len(sequences[order[start]]) - n_prefix]  # the tokens of the batch if it ends after each row
        for place in range(start + 1, min(start + batch_size, len(order))):
            size = sizes[-1] + len(sequences[order[place]]) - n_prefix - shared[place]
            if size > max_tokens:
                break
            sizes.append(size)
        end = start + len(sizes)
        if end < len(order):
            # What the next batch shares with this one is computed again, so a batch may end earlier for less of it.
            ends = [start + n for n, size in enumerate(sizes, start=1) if 2 * size >= sizes[-1]]
            end = min(ends, key=lambda at: (shared[at], -at))
        batches.append(order[start:end])
        start = end
    return Plan(n_prefix, batches)


def _common_prefix(sequences: Sequence[list[int]]) -> int:
    """Return the length of the longest common prefix that leaves each sequence a token of its own."""
    if len(sequences) < 2:
        return 0
    # All sequences share what the first and the last in lexicographic order share.
    n_common = min(common_length(min(sequences), max(sequences)), min(map(len, sequences)) - 1)
    return n_common if n_common >= MIN_SHARED else 0
