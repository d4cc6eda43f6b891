"""Computes batches in halves if they do not fit the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import torch

from console.errors import EngineError
from console.progress import say
from engines.local.forward import Batch

ResultT = TypeVar("ResultT")
CPU_WORDS = ("can't allocate memory", "not enough memory")
"""What torch says if a processor has no memory left, in an error of no class of its own."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that there is no memory left, on a processor or a GPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in CPU_WORDS)


def too_long(n_tokens: int) -> EngineError:
    """Return the error of a row that does not fit the memory alone."""
    remedy = "use a smaller model, shorter texts or fewer new tokens, or end what else takes memory"
    return EngineError(f"out of memory with a single row of {n_tokens} tokens: {remedy}")


@dataclass
class Waiting:
    """The batches that are still to compute. Once one did not fit the memory, all are as small as its halves."""

    batches: Iterator[Batch]
    most_rows: int | None = None
    returned: list[Batch] = field(default_factory=list)

    def next(self) -> Batch | None:
        """Return the next batch, or None if there is none."""
        while True:
            batch = self.returned.pop(0) if self.returned else next(self.batches, None)
            if batch is None or self.most_rows is None or len(batch.rows) <= self.most_rows:
                return batch
            self.returned = _halves(batch) + self.returned

    def put_back(self, batch: Batch, *, beside_others: bool = False) -> None:
        """Take back a batch that did not fit the memory. Raises EngineError if it is one row that was alone there."""
        n = len(batch.rows)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # else the next size may find only parts of what is free
        if n == 1 and not beside_others:
            raise too_long(batch.n_prefix + len(batch.suffixes[0]))
        self.most_rows = max(n // 2, 1)
        self.returned.insert(0, batch)
        size = self.most_rows
        say(f"out of memory with {n} rows at a time: going on with {size} (--batch-size {size} starts with as many)")


def unshared(planned: Iterable[list[int]], sequences: Sequence[list[int]]) -> Iterator[Batch]:
    """Yield a batch for the rows of each list, places in `sequences`, without a prefix that all have."""
    return (Batch(rows, [sequences[row] for row in rows], [], 0) for rows in planned)


def computed(batches: Iterator[Batch], compute: Callable[[Batch], ResultT]) -> Iterator[tuple[Batch, ResultT]]:
    """Yield each batch with its result, in halves if it does not fit the memory.

    Raises EngineError if a row does not fit alone.
    """
    waiting = Waiting(batches)
    while (batch := waiting.next()) is not None:
        try:
            result = compute(batch)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        else:
            yield batch, result
            continue
        waiting.put_back(batch)  # only here, where the error no longer holds what was computed so far


def _halves(batch: Batch) -> list[Batch]:
    middle = len(batch.rows) // 2
    parts = (slice(middle), slice(middle, None))
    return [replace(batch, rows=batch.rows[part], suffixes=batch.suffixes[part]) for part in parts]
