"""Tells before a model is loaded whether it fits, and if not, what would."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.errors import EngineError
from console.progress import say
from engines.adapters import weights_folder
from engines.files import files_of
from engines.models import NO_LIMIT, checkpoint_dtype, context_of

GIB = 1 << 30
KV_SPACE = "VLLM_CPU_KVCACHE_SPACE"
"""vLLM's own environment variable: the GiB of keys and values on a processor."""
USUAL_KV_SPACE = 4 * GIB
LEAST_CONTEXT = 256
"""A context that is too short for a judge's prompt is no advice."""
ENOUGH_CONTEXT = 4096
"""A context for any judge's prompt: a model with a longer one is cut to what fits without being asked."""
SHARE_OF_GPU = 0.9
BLOCK = 128
"""Tokens that vLLM may round a context up by."""
BATCH_TOKENS = 8192
"""Tokens of keys and values for a reward model beside a model in training: enough for a batch."""
BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class Size:
    """The size of a model in memory, as its files tell it."""

    weights: int
    """Bytes."""
    per_token: int
    """Bytes of keys and values for one token of context, 0 if the config does not say."""
    context: int
    """Tokens, NO_LIMIT if the config does not say."""


def size_of(folder: Path, dtype: str) -> Size:
    """Return the size of the model in `folder` if it computes in `dtype`. A sliding window may take less."""
    from transformers import AutoConfig, PreTrainedConfig  # here, because the flags of a command need neither

    folder = weights_folder(folder)
    try:
        # Not its config.json alone, which may leave out whatever is usual for its kind, as Gemma 3's does.
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except ValueError:  # a kind that only vLLM knows
        config = PreTrainedConfig()
    stored = sum(path.stat().st_size for path in files_of(folder, ("*.safetensors",)))
    is_quantised = "quantization_config" in json.loads((folder / "config.json").read_text(encoding="utf-8"))
    wider = 1.0 if is_quantised else BYTES.get(dtype, 2) / BYTES.get(checkpoint_dtype(folder), 2)
    per_token = _cached_values(config.get_text_config()) * BYTES.get(dtype, 2)
    return Size(round(stored * wider), per_token, context_of(config))


def _cached_values(config: Any) -> int:
    """Return the keys and values of one token in all layers."""

    def setting(name: str) -> int:
        return int(getattr(config, name, None) or 0)

    n_layers = setting("num_hidden_layers")
    if rank := setting("kv_lora_rank"):  # DeepSeek's latent attention keeps one vector for all heads
        return n_layers * (rank + setting("qk_rope_head_dim"))
    n_heads = setting("num_attention_heads")
    head_dim = setting("head_dim") or setting("hidden_size") // max(n_heads, 1)
    return 2 * n_layers * (setting("num_key_value_heads") or n_heads) * head_dim


@dataclass(frozen=True)
class Memory:
    """The memory that the user gives to vLLM. None is what is there."""

    max_model_len: int | None = None
    share_of_gpu: float | None = None
    n_gpus: int = 1
    beside_training: bool = False
    """Take only what a batch needs, because a model in training needs the rest."""
    n_rows: int | None = None
    """The most sequences at a time, each as long as `max_model_len` may be. None is vLLM's own number."""


@dataclass(frozen=True)
class Plan:
    """The memory that vLLM is told to take."""

    max_model_len: int | None
    """None is the model's own, which only vLLM knows."""
    kv_bytes: int | None = None
    """Bytes of keys and values, on a GPU only for a model beside training. None is what the share leaves."""
    share_of_gpu: float = SHARE_OF_GPU


def plan_cpu(name: str, size: Size, memory: Memory, free: int) -> Plan:
    """Return the plan on a processor with `free` bytes. Raises EngineError if nothing fits, or says what does."""
    left = free - size.weights
    asked = _kv_space_asked()
    if left <= 0:
        raise _weights_too_large(name, size, free)
    if asked is not None and asked > left:
        remedy = f"{KV_SPACE}={left // GIB} fits" if left >= GIB else f"without {KV_SPACE} half of that is taken"
        raise EngineError(
            f"{name}: {KV_SPACE}={asked // GIB} asks for {gib(asked)} of keys and values, and beside the weights "
            f"{gib(left)} are free; {remedy}"
        )
    usual = min(USUAL_KV_SPACE, left // 2)
    space = asked or min(usual, batch_bytes(size, memory) or usual)
    there = f"{gib(space)} of {gib(free)} free memory"
    return Plan(_context(name, size, memory.max_model_len, space, there, KV_SPACE), space)


def plan_gpu(name: str, size: Size, memory: Memory, free: int, total: int) -> Plan:
    """Return the plan on GPUs, each with `free` of `total` bytes. Raises EngineError if nothing fits, or says what."""
    most, n = free / total - 0.01, memory.n_gpus
    if memory.share_of_gpu is not None and memory.share_of_gpu * total > free:
        asked = f"--gpu-memory-utilization {memory.share_of_gpu}"
        remedy = f"{most:.2f} fits, or end what else runs there" if most >= 0.01 else "end what else runs there"
        raise EngineError(
            f"{name}: {asked} asks for {gib(memory.share_of_gpu * total)} of the GPU's {gib(total)}, and {gib(free)} "
            f"are free; {remedy}"
        )
    share = memory.share_of_gpu or min(SHARE_OF_GPU, most)
    left = n * share * total - size.weights
    if left <= 0:
        more = f", or --tensor-parallel-size {2 * n} on as many GPUs"
        raise _weights_too_large(name, size, int(n * share * total), more)
    space = None if memory.share_of_gpu else batch_bytes(size, memory)
    if space is not None and space < left:
        left, share = space, (size.weights + space) / n / total
    else:
        space = None
    there = f"{gib(left)} of {gib(n * free)} free memory"
    context = _context(name, size, memory.max_model_len, int(left), there, "--gpu-memory-utilization")
    return Plan(context, None if space is None else space // n, share)


def batch_bytes(size: Size, memory: Memory) -> int | None:
    """Return the bytes of a batch's keys and values, or None if they are not to be scarce, or their size is unknown."""
    if not memory.beside_training or not size.per_token:
        return None
    longest = memory.max_model_len or 0
    if memory.n_rows is not None:  # texts are written, and a row for which there is no room is begun again
        return memory.n_rows * (longest + BLOCK) * size.per_token
    return (max(longest, BATCH_TOKENS) + BLOCK) * size.per_token


def gib(n_bytes: float) -> str:
    """Return a number of bytes in GiB, for a message."""
    return f"{n_bytes / GIB:.1f} GiB"


def _kv_space_asked() -> int | None:
    text = os.environ.get(KV_SPACE, "")
    if text in ("", "0"):
        return None
    if not text.isdecimal():
        raise EngineError(f"{KV_SPACE}={text}: must be a whole number of GiB")
    return int(text) * GIB


def _weights_too_large(name: str, size: Size, free: int, more: str = "") -> EngineError:
    return EngineError(
        f"{name}: its weights take about {gib(size.weights)}, and there are {gib(max(free, 0))}; take a smaller or "
        f"quantised model, or a server (--base-url){more}"
    )


def _context(name: str, size: Size, asked: int | None, space: int, there: str, more: str) -> int | None:
    """Return the longest context of a request: what was asked for, or else the model's, or as much of it as fits."""
    if asked is None and size.context == NO_LIMIT:
        return None
    context = min(asked or size.context, size.context)
    if context * size.per_token <= space:
        return context
    most = space // size.per_token - BLOCK
    if asked is None and most >= ENOUGH_CONTEXT:
        say(f"{name}: a context of {most:,} tokens, not {context:,}, because {there} are there; {more} can be raised")
        return most
    fits = f"--max-model-len {most} fits" if most >= LEAST_CONTEXT else "no useful context fits"
    raise EngineError(
        f"{name}: a context of {context:,} tokens takes about {gib(context * size.per_token)} beside the weights' "
        f"{gib(size.weights)}, and there are {there}; {fits}, or raise {more}"
    )
