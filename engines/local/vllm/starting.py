"""Starts vLLM in this process, on the memory that `engines.local.vllm.memory` planned, and lets it go again."""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from weakref import WeakSet

import psutil
import torch
from vllm import LLM

from console.errors import EngineError
from engines.local.vllm.memory import Memory, Plan, plan_cpu, plan_gpu, size_of
from engines.merging import whole
from engines.models import inference_dtype

_running: WeakSet[LLM] = WeakSet()
"""The engines of this process, which share what vLLM keeps about the processes that compute one model."""
_starting: list[str] = []
"""The names of the models that are being started, which share it too: the one before may be let go meanwhile."""
LLVMLITE = "llvmlite.binding.ffi"
CPU_BLOCK = 32
"""Tokens of a block of keys and values on a processor, where vLLM's own 128 would share too little of a prefix."""


def start(name: str, folder: Path, memory: Memory, *, classifies: bool = False, dtype: str = "auto") -> LLM:
    """Return vLLM's engine with the model in `folder`, which writes texts or classifies them.

    It computes in the type that `inference_dtype` gives. Raises EngineError if it does not fit or cannot start.
    """
    arguments = arguments_of(planned(name, folder, memory, dtype))
    if memory.beside_training:
        arguments |= {"enforce_eager": True}  # recorded graphs take memory too
    if memory.n_rows is not None:
        arguments |= {"max_num_seqs": memory.n_rows}
    if classifies:
        arguments |= {"runner": "pooling", "convert": "classify"}
    _starting.append(name)
    try:
        with as_it_was(), whole(folder) as weights:
            llm = LLM(
                str(weights),
                dtype=inference_dtype(folder, dtype),
                enable_prefix_caching=True,
                generation_config="vllm",  # the command's flags alone say how a text is drawn
                tensor_parallel_size=memory.n_gpus,
                use_tqdm_on_load=False,
                **arguments,
            )
        _running.add(llm)
    except Exception as error:  # of torch, of vLLM's own types and of its checks: each is a model that cannot start
        reason = " ".join(str(error).split())[:400] or type(error).__name__
        raise EngineError(f"{name}: vLLM cannot start with it: {reason}") from None
    finally:
        _starting.remove(name)
    return llm


def planned(name: str, folder: Path, memory: Memory, dtype: str = "auto") -> Plan:
    """Return the memory that the model in `folder` is to take. Raises EngineError if it does not fit."""
    size = size_of(folder, inference_dtype(folder, dtype))
    if not torch.cuda.is_available():
        return plan_cpu(name, size, memory, psutil.virtual_memory().available)
    if memory.n_gpus > torch.cuda.device_count():
        there = torch.cuda.device_count()
        raise EngineError(f"{name}: --tensor-parallel-size {memory.n_gpus}, and GPUs here: {there}")
    free, total = min(torch.cuda.mem_get_info(device) for device in range(memory.n_gpus))
    return plan_gpu(name, size, memory, free, total)


def stop(last: list[LLM]) -> None:
    """End the engine in the list, which holds the last reference to it, and return its memory."""
    if _running is None:  # as the names of a module are when the interpreter ends, and vLLM has ended itself
        return
    with suppress(Exception):  # nothing here may hide the error for which the model is let go
        core = last[0].llm_engine.engine_core
        _running.discard(last.pop())
        inner = getattr(core, "engine_core", None)  # absent if the user has it in a process of its own
        if (_running or _starting) and inner is not None:
            # The whole shutdown, which vLLM also does by itself, ends what its engines in one process share.
            core._finalizer.detach()
            inner.model_executor.shutdown()
        else:
            core.shutdown()
        del core, inner
        gc.unfreeze()  # vLLM hid what it made from the collector
        gc.collect()
        torch.cuda.empty_cache()  # does nothing without a GPU


def arguments_of(plan: Plan) -> dict[str, Any]:
    """Return the arguments of vLLM that the plan and this machine decide."""
    arguments: dict[str, Any] = {"max_model_len": plan.max_model_len, "kv_cache_memory_bytes": plan.kv_bytes}
    if torch.cuda.is_available():
        return arguments | {"gpu_memory_utilization": plan.share_of_gpu}
    return arguments | {
        "block_size": CPU_BLOCK,
        "enforce_eager": True,  # compiled it starts in minutes and is no faster there
        # After a part of a prompt vLLM takes back a seeded row's draw, which torch's generators of a processor cannot.
        "enable_chunked_prefill": False,
    }


@contextmanager
def as_it_was() -> Iterator[None]:
    """Leave the process as it was, and be silent about warnings of vLLM's own code.

    vLLM replaces torch.set_num_threads by one that does nothing. On a processor it also looks into every value of every
    module for kernels, and falls over llvmlite's library, which answers to any name (bm25s loads it).
    """
    set_num_threads, hidden = torch.set_num_threads, sys.modules.pop(LLVMLITE, None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_num_threads = set_num_threads
        if hidden is not None:
            sys.modules[LLVMLITE] = hidden
