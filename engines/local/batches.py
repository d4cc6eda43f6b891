"""Plans how a list of token sequences is computed: one shared prefix, then batches of like length."""

from collections.abc import Sequence
from dataclasses import dataclass

MIN_SHARED = 16
MAX_BATCH_TOKENS = 16_384  # bounds the memory of a batch on an accelerator
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
    """Return a plan that depends on nothing but its arguments.

    Sequences are sorted by length, longest first, so that the largest batch is met first. A batch holds at most
    `batch_size` rows and `max_tokens` tokens, including its padding and the `n_new` tokens to come.
    """
    n_prefix = _common_prefix(sequences) if share_prefix else 0
    order = sorted(range(len(sequences)), key=lambda index: (-len(sequences[index]), index))
    batches: list[list[int]] = []
    for index in order:
        widest = len(sequences[batches[-1][0]]) - n_prefix + n_new if batches else 0
        if batches and len(batches[-1]) < batch_size and (len(batches[-1]) + 1) * widest <= max_tokens:
            batches[-1].append(index)
        else:
            batches.append([index])
    return Plan(n_prefix, batches)


def _common_prefix(sequences: Sequence[list[int]]) -> int:
    """Return the length of the longest common prefix that leaves each sequence a token of its own."""
    if len(sequences) < 2:
        return 0
    # All sequences share what the first and the last in lexicographic order share.
    low, high = min(sequences), max(sequences)
    n_common = 0
    for a, b in zip(low[:-1], high[:-1], strict=False):
        if a != b:
            break
        n_common += 1
    n_common = min(n_common, min(map(len, sequences)) - 1)
    return n_common if n_common >= MIN_SHARED else 0
