"""Runs token sequences through vLLM's engine and yields each as it finishes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Any

import torch
from vllm import LLM, CompletionOutput, PoolingOutput, PoolingParams, RequestOutput, SamplingParams
from vllm.exceptions import VLLMError

from console.errors import EngineError

AHEAD = 2
"""So many times the sequences that vLLM computes at once are handed to it, so that it never waits for the next one."""


@dataclass(frozen=True)
class Ask:
    """A token sequence to go on with."""

    row: int
    number: int
    """Tells the sequences of one row apart."""
    tokens: list[int]
    params: SamplingParams | PoolingParams


@dataclass(frozen=True)
class Finished:
    """The tokens after one sequence."""

    name: str
    """The request's name."""
    ask: Ask
    output: CompletionOutput | PoolingOutput
    seconds: float
    """The sequence's share of the time in which it was worked on beside others."""
    prompt_logprobs: Any = None
    """vLLM's log-probabilities of the ask's own tokens, if its params want them."""


@dataclass(frozen=True)
class _Waiting:
    """A sequence that vLLM has, and the call that waits for it."""

    ask: Ask
    inner_name: str
    """vLLM's own name of the request."""
    share_before: float
    inbox: deque[Finished]


@dataclass
class Runner:
    """vLLM's engine and the sequences that it has.

    A call may begin before another one has ended, as that of an agent that looks up the claims of a judgment which has
    just come. Each gets its own sequences, whoever had them computed.
    """

    llm: LLM
    _waiting: dict[str, _Waiting] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=count)
    _share: float = 0.0
    """The seconds that a sequence would have which was there from the beginning."""

    def run(self, asks: Iterable[Ask]) -> Iterator[Finished]:
        """Yield the asks as they finish, begun in the order given so that shared beginnings meet in the cache.

        If the caller stops early, the rest is dropped. Raises EngineError if vLLM refuses a request or fails.
        """
        most = AHEAD * self.llm.llm_engine.vllm_config.scheduler_config.max_num_seqs
        rest, inbox, own = iter(asks), deque[Finished](), set[str]()
        try:
            while True:
                for ask in islice(rest, most - len(own)):
                    own.add(self._add(ask, inbox))
                if not own:
                    return
                while not inbox:
                    self._step()
                while inbox:
                    finished = inbox.popleft()
                    own.discard(finished.name)
                    yield finished
        finally:
            dropped = [self._waiting.pop(name).inner_name for name in own & self._waiting.keys()]
            if dropped:  # stopped, by the caller or by a failure
                self.llm.llm_engine.abort_request(dropped, internal=True)

    def _add(self, ask: Ask, inbox: deque[Finished]) -> str:
        """Hand over one request, and return its name."""
        name = str(next(self._numbers))
        try:
            inner_name = self.llm.llm_engine.add_request(name, {"prompt_token_ids": ask.tokens}, ask.params)
        except (ValueError, VLLMError) as error:  # a schema that its grammars cannot follow
            raise EngineError(f"vLLM refuses the request: {' '.join(str(error).split())[:300]}") from None
        self._waiting[name] = _Waiting(ask, inner_name, self._share, inbox)
        return name

    def _step(self) -> None:
        """Let vLLM compute one token of each sequence that it works on, and deliver those that are finished."""
        started, n_waiting = time.monotonic(), len(self._waiting)
        # vLLM compiles its sampler even so, in half a minute with a C++ compiler, if there is one.
        stance = "force_eager" if self.llm.model_config.enforce_eager else "default"
        try:
            with torch.compiler.set_stance(stance):
                outputs = [output for output in self.llm.llm_engine.step() if output.finished]
        except (RuntimeError, OSError, VLLMError) as error:  # torch's running out of memory is a RuntimeError
            reason = " ".join(str(error).split())[:300]
            raise EngineError(
                f"vLLM failed: {reason}; the same command goes on where this one stopped; if memory ran out, give a "
                "lower --gpu-memory-utilization or --max-model-len"
            ) from None
        self._share += (time.monotonic() - started) / n_waiting
        for output in outputs:
            if waiting := self._waiting.pop(output.request_id, None):
                seconds = self._share - waiting.share_before
                # A text is the only one of its request. A pooling model has one output, in no list.
                writes = isinstance(output, RequestOutput)
                result = output.outputs[0] if writes else output.outputs
                of_prompt = output.prompt_logprobs if writes else None
                waiting.inbox.append(Finished(output.request_id, waiting.ask, result, seconds, of_prompt))
