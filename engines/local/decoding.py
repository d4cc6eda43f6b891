"""Writes the answers of batches token by token, and several batches side by side if a processor has several cores."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from engines.local.forward import Batch, Forward
from engines.local.memory import Waiting, is_out_of_memory
from engines.local.sampling import draw, row_uniforms
from engines.protocol import Sampling

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

STOP_WINDOW_TOKENS = 16
"""The number of last tokens that are searched for a stop string, besides the string's own length."""
SIDE_ROWS = 32
"""The fewest rows for which another batch beside the first one is worth its threads."""
MAX_SIDE = 4
"""The most batches side by side, because each has keys and values of its own in memory."""


@dataclass(frozen=True)
class Sampled:
    """The tokens that go on from one sequence, or the reason why there are none."""

    index: int
    """The position of the sequence in the list that was given."""
    tokens: list[int]
    """The drawn tokens, with the one that ended them if there is one."""
    finish_reason: str | None
    """`stop`, `length`, or None if there is an error."""
    error: str | None = None
    seconds: float = field(default=0.0, compare=False)


class OutOfMemory:
    """Stands for the step of a batch that found no memory."""


Step = list[Sampled] | OutOfMemory | None
"""The rows of a batch that finish with a token, or None if all have finished."""


@dataclass
class _Running:
    """A batch whose rows are being written."""

    batch: Batch
    steps: Iterator[list[Sampled]]
    finished: set[int] = field(default_factory=set)

    def unfinished(self) -> Batch:
        pairs = zip(self.batch.rows, self.batch.suffixes, strict=True)
        rows, suffixes = zip(*((row, suffix) for row, suffix in pairs if row not in self.finished), strict=True)
        return replace(self.batch, rows=list(rows), suffixes=list(suffixes))


@dataclass(frozen=True)
class Decoder:
    """Draws tokens after the rows of batches. `n_side` batches run side by side, each on its share of the threads."""

    forward: Forward
    tokenizer: PreTrainedTokenizerBase
    ends: frozenset[int]
    """The tokens after which the model says no more."""
    sampling: Sampling
    n_side: int = 1

    def decode(self, batches: Iterator[Batch], seeds: Sequence[int]) -> Iterator[Sampled]:
        """Yield each row as it finishes. `seeds` are those of all rows.

        Batches that run side by side take their steps together, so the order of the rows is always the same. If one
        finds no memory, its unfinished rows begin anew in halves, from then on with one batch at a time, and their
        seeds give them the same text. Raises EngineError if a row alone does not fit.
        """
        waiting = Waiting(batches)
        running: list[_Running] = []
        with ThreadPoolExecutor(self.n_side) as pool:
            while True:
                n_side = self.n_side if waiting.most_rows is None else 1
                while len(running) < n_side and (batch := waiting.next()) is not None:
                    running.append(_Running(batch, self._steps(batch, [seeds[row] for row in batch.rows])))
                if not running:
                    return
                n_running = len(running)
                for one, step in zip(list(running), self._advance_all(pool, running), strict=True):
                    if step is None:
                        running.remove(one)
                    elif isinstance(step, OutOfMemory):
                        running.remove(one)
                        waiting.put_back(one.unfinished(), beside_others=n_running > 1)
                    else:
                        one.finished |= {sampled.index for sampled in step}
                        yield from step

    def _advance_all(self, pool: ThreadPoolExecutor, running: list[_Running]) -> list[Step]:
        if self.n_side == 1:  # in the caller's thread: its autocast and its current GPU hold for no other
            return [_advance(one.steps) for one in running]
        with _shared_threads(self.n_side):
            return list(pool.map(_advance, [one.steps for one in running]))

    def _steps(self, batch: Batch, seeds: list[int]) -> Iterator[list[Sampled]]:
        """Yield the rows that finish with each token.

        The seconds of a step are shared by the rows that are still writing, so those of all rows add up to no more
        than the whole.
        """
        started, seconds = time.monotonic(), 0.0
        logits_BV, cache = self.forward.start(batch, self.sampling.max_new_tokens)
        uniforms_BT = row_uniforms(seeds, self.sampling.max_new_tokens)
        starts = [batch.n_prefix + len(suffix) for suffix in batch.suffixes]
        rows = list(range(len(starts)))  # the position in the batch of each row of the tensors
        written: list[list[int]] = [[] for _ in rows]
        unfinished = set(rows)
        for step in range(self.sampling.max_new_tokens):
            # By the row's own place in the batch and the step, so that other rows that leave change nothing.
            tokens_B = draw(logits_BV, uniforms_BT[rows, step], self.sampling.temperature, self.sampling.top_p)
            seconds += (time.monotonic() - started) / (len(unfinished) * self.n_side)
            finished = []
            for row, token in zip(rows, tokens_B.tolist(), strict=True):
                if row in unfinished and (finish := self._take(written[row], token)):
                    unfinished.discard(row)
                    finished.append(Sampled(batch.rows[row], written[row], finish, seconds=seconds))
            yield finished
            if not unfinished:
                return
            started = time.monotonic()
            if gone := {place for place, row in enumerate(rows) if row not in unfinished}:
                rows = [rows[place] for place in self.forward.drop(cache, gone)]
            logits_BV = self.forward.step([(written[row][-1], starts[row] + step) for row in rows], cache)

    def _take(self, written: list[int], token: int) -> str | None:
        """Add `token` to a row and return why the row ends with it, or None."""
        written.append(token)
        if token in self.ends:
            return "stop"
        if stops := self.sampling.stop:
            # Not the whole text, whose decoding at every token takes quadratic time. A token mostly has a letter or
            # more.
            window = written[-(STOP_WINDOW_TOKENS + max(map(len, stops))) :]
            tail = self.tokenizer.decode(window)
            if any(stop in tail for stop in stops):
                return "stop"
        return "length" if len(written) == self.sampling.max_new_tokens else None


def n_side_by_side(n_rows: int, device_type: str) -> int:
    """Return how many batches to decode at the same time.

    The products of one decoding step are too small for several threads: side by side two cores wrote 1.15 times as
    much in batches of 32 rows and 1.24 times in batches of 96 (`python -m benchmarks.side_by_side`, SmolLM2-135M).
    """
    return max(1, min(torch.get_num_threads(), n_rows // SIDE_ROWS, MAX_SIDE)) if device_type == "cpu" else 1


def share(n_rows: int, n_side: int, batch_size: int) -> int:
    """Return the most rows of a batch, so that batches side by side have equally many."""
    return min(batch_size, -(-n_rows // n_side))


def cut(text: str, stops: Sequence[str]) -> str:
    """Return the text before the first of the stop strings."""
    ends = [text.find(stop) for stop in stops if stop in text]
    return text[: min(ends)] if ends else text


def _advance(steps: Iterator[list[Sampled]]) -> Step:
    try:
        return next(steps, None)
    except (MemoryError, RuntimeError) as error:
        if is_out_of_memory(error):
            return OutOfMemory()
        raise


@contextmanager
def _shared_threads(n_side: int) -> Iterator[None]:
    """Give each of `n_side` Python threads its share of torch's threads."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(max(1, n_threads // n_side))
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
