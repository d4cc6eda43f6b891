"""Runs token sequences through vLLM's engine and yields each as it finishes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from vllm import LLM, CompletionOutput, RequestOutput, SamplingParams

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
    params: SamplingParams


@dataclass(frozen=True)
class Finished:
    """The tokens after one sequence."""

    ask: Ask
    output: CompletionOutput
    seconds: float
    """The sequence's share of the time in which it was worked on beside others."""


def run(llm: LLM, asks: Iterable[Ask]) -> Iterator[Finished]:
    """Yield the asks as they finish. They are begun in the order given, so that shared beginnings meet in the cache.

    If the caller stops early, the rest is dropped. Raises EngineError if vLLM refuses a request or fails.
    """
    engine = llm.llm_engine
    most = AHEAD * engine.vllm_config.scheduler_config.max_num_seqs
    waiting, rest, number = dict[str, tuple[Ask, str, float]](), iter(asks), 0
    share = 0.0  # the seconds that a sequence would have had which was there from the beginning
    try:
        while True:
            for ask in islice(rest, most - len(waiting)):
                waiting[str(number)] = (ask, _add(llm, str(number), ask), share)
                number += 1
            if not waiting:
                return
            started, n_waiting = time.monotonic(), len(waiting)
            outputs = _step(llm)
            share += (time.monotonic() - started) / n_waiting
            for output in outputs:
                ask, _, share_before = waiting.pop(output.request_id)
                yield Finished(ask, output.outputs[0], share - share_before)
    finally:
        if waiting:  # stopped, by the caller or by a failure
            engine.abort_request([name for _, name, _ in waiting.values()], internal=True)


def _add(llm: LLM, name: str, ask: Ask) -> str:
    """Hand over one request, and return vLLM's own name of it."""
    try:
        return str(llm.llm_engine.add_request(name, {"prompt_token_ids": ask.tokens}, ask.params))
    except ValueError as error:  # a schema that its grammars cannot follow, or a setting out of its range
        raise EngineError(f"vLLM refuses the request: {' '.join(str(error).split())[:300]}") from None


def _step(llm: LLM) -> list[RequestOutput]:
    # vLLM compiles its sampler even so, in half a minute with a C++ compiler, if there is one.
    stance = "force_eager" if llm.model_config.enforce_eager else "default"
    try:
        with torch.compiler.set_stance(stance):
            return [output for output in llm.llm_engine.step() if output.finished]
    except (RuntimeError, OSError) as error:  # torch's running out of memory is a RuntimeError
        reason = " ".join(str(error).split())[:300]
        raise EngineError(
            f"vLLM failed: {reason}; the same command goes on where this one stopped; if memory ran out, give a lower "
            "--gpu-memory-utilization or --max-model-len"
        ) from None
