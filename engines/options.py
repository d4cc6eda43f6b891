"""The flags that name a model and say through which engine to ask it."""

from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from console.errors import InputError
from console.progress import say
from console.ranges import Count, CountOr0, Positive, ShareAbove0, check_ranges
from engines.chat.options import ChatTemplateKwargs
from engines.local.vllm.installed import check_installed, why_not_alone
from engines.local.vllm.memory import Memory
from engines.models import check_model, resolve_model
from records.runs import ITERATION, find_run, named_in_run

if TYPE_CHECKING:
    from pathlib import Path

    from engines.protocol import Engine

DType = Literal["auto", "float32", "bfloat16"]
Parameter = Literal["temperature", "top_p", "seed", "stop"]
"""Parameters that a call to a server can do without."""
EngineKind = Literal["auto", "transformers", "vllm", "openai"]
IN_PROCESS = ("transformers", "vllm")
LEAST_RETRY_S = 300.0
"""With a short --timeout-s too there is time to wait as long as a busy server asks."""


@dataclass(frozen=True)
class EngineOptions:
    """The model, and the engine that runs it."""

    model: str = "smollm2"
    """A folder, a hub id, smollm2 (the packaged model), iterN or best of a run, demo/iterN or demo/best of the run
    demo, or the name of a model on a server. The best iteration is the one with the highest figure in trainer.runs."""
    run: str | None = None
    """The run that has iterN. The default is the newest run."""
    engine: EngineKind = "auto"
    """transformers, vllm: the model runs in this process. openai: a server. auto: openai if --base-url is given, vllm
    if there is a GPU and vllm is installed, or else transformers."""
    base_url: str | None = None
    """The OpenAI-compatible server, e.g. http://localhost:8000/v1. With --engine openai, OPENAI_BASE_URL works too.
    Repeat the flag for more servers of the model. They share the calls, and one that fails is left out."""
    api_key_env: str = "OPENAI_API_KEY"
    """The environment variable that holds the server's key. A local server needs none."""
    concurrency: Count = 16
    """Concurrent calls (openai)."""
    timeout_s: Positive = 600.0
    """Seconds that one attempt of a call may take, until the last byte of the reply (openai)."""
    retry_s: Positive | None = None
    """Seconds for all attempts of a call with their waits. The default is twice --timeout-s, at least 300."""
    max_failures_in_row: CountOr0 = 25
    """Stop after this many failed calls in a row. The same command resumes. 0 means no limit (openai)."""
    omit: tyro.conf.UseAppendAction[tuple[Parameter, ...]] = ()
    """Do not send this parameter. Repeat the flag for more. Refused parameters are left out anyway (openai)."""
    thinking_tokens: CountOr0 = 0
    """Tokens for reasoning before each reply, in addition to those for the reply (openai)."""
    served_as: str | None = None
    """The model's name in the fingerprint. It replaces the name and the server's description of it (openai)."""
    batch_size: Count = 96
    """The most rows at a time (transformers)."""
    dtype: DType = "auto"
    """The type to compute in (transformers). auto: float32 on a processor, the checkpoint's own type on a GPU.
    docs/benchmarks.md says what bfloat16 costs in verdicts."""
    max_model_len: Count | None = None
    """Tokens of prompt and reply that there is memory for. The default is the model's context, or what fits (vllm)."""
    gpu_memory_utilization: ShareAbove0 | None = None
    """The share of each GPU's memory to take. The default is what is free, at most 0.9 (vllm)."""
    tensor_parallel_size: Count = 1
    """GPUs that share the model (vllm)."""
    chat_template_kwargs: ChatTemplateKwargs = field(default_factory=dict)
    """Variables of the model's chat template, e.g. '{"enable_thinking": false}'. They are sent to servers too."""

    def __post_init__(self) -> None:
        """Turn `best`, `demo/best` and `demo/iterN` into an iteration and its run, unless a server has the model."""
        if self.engine == "openai" or self.base_url is not None:
            return
        model, run = named_in_run(self.model, self.run)
        object.__setattr__(self, "model", model)
        object.__setattr__(self, "run", run)


SharedEngineOptions = Annotated[EngineOptions, tyro.conf.OmitArgPrefixes]


def is_iteration(options: EngineOptions) -> bool:
    """Return whether the model is an iteration of a run in process, and not a server's model of that name."""
    served = options.engine == "openai" or options.base_url is not None
    return not served and ITERATION.fullmatch(options.model) is not None


def pinned(options: EngineOptions) -> EngineOptions:
    """Return `options` with the run of iterN, because the newest run is chosen once, when a command begins.

    Raises InputError if there is no run.
    """
    if options.run is not None or not is_iteration(options):
        return options
    return replace(options, run=str(find_run().folder))


def of_run(options: EngineOptions) -> str:
    """Return ` of runs/demo` for an iteration of that run, for messages, or nothing for another model."""
    return f" of {find_run(options.run).folder}" if options.run is not None and is_iteration(options) else ""


def check_engine(options: EngineOptions, *, planned: bool = True) -> None:
    """Raise InputError if a setting is out of range, two settings conflict, or there is no such model.

    Nothing is loaded, and no server is asked. If the engine is `planned` and not used now, a hub that cannot be
    reached is told and is no error.
    """
    _check(options)
    kind, _ = _picked(options)
    if kind == "vllm":
        check_no_dtype(options)  # again, because `auto` may have picked vLLM
    if kind != "openai":
        check_model(options.model, options.run, planned=planned)


def _check(options: EngineOptions) -> None:
    check_ranges(options)
    if is_served(options):
        check_no_dtype(options)
        return
    if options.base_url:
        raise InputError("--base-url goes with --engine openai")
    if options.served_as is not None:
        raise InputError("--served-as names a model behind a server: it goes with --engine openai")
    if options.engine == "vllm":
        check_no_dtype(options)
        check_installed()


def check_no_dtype(options: EngineOptions) -> None:
    """Raise InputError if a type is asked for, which only transformers takes."""
    if options.dtype != "auto":
        raise InputError(f"--dtype {options.dtype} goes with --engine transformers")


def is_served(options: EngineOptions) -> bool:
    """Return whether the model is behind a server, not in this process."""
    return options.engine == "openai" or (options.engine == "auto" and bool(options.base_url))


def check_trained(options: EngineOptions) -> None:
    """Raise InputError unless a model that is trained here can be asked through the engine of `options`."""
    if is_served(options):
        raise InputError("the model is trained in this process: leave out --base-url; --engine is transformers or vllm")
    _check(options)


def beside_training(options: EngineOptions) -> EngineOptions:
    """Return `options` with auto as transformers, because vLLM would take the memory of the model in training."""
    return replace(options, engine="transformers") if options.engine == "auto" and not options.base_url else options


def memory_of(options: EngineOptions) -> Memory:
    """Return the memory that vLLM may take."""
    return Memory(options.max_model_len, options.gpu_memory_utilization, options.tensor_parallel_size)


def _picked(options: EngineOptions) -> tuple[EngineKind, str]:
    """Return the engine, and why it is that one if the user left the choice."""
    if options.engine != "auto":
        return options.engine, ""
    if options.base_url:
        return "openai", ""
    reason = why_not_alone()
    return ("vllm", "there is a GPU and vllm is installed") if reason is None else ("transformers", reason)


@cache  # once for a command that opens several engines
def _tell(kind: EngineKind, reason: str) -> None:
    say(f"engine: {kind}, because {reason}")


def open_engine(options: EngineOptions) -> "Engine":
    """Return the engine that `options` name. A model in this process is loaded once it is asked something.

    Raises InputError or EngineError.
    """
    _check(options)
    if is_served(options):
        from engines.served import http_call, openai_engine

        limits = http_call.Limits(options.timeout_s, options.retry_s or max(2 * options.timeout_s, LEAST_RETRY_S))
        return openai_engine.open_openai(
            options.model,
            options.base_url,
            options.api_key_env,
            options.concurrency,
            limits,
            options.max_failures_in_row,
            chat_template_kwargs=options.chat_template_kwargs,
            omit=options.omit,
            thinking_tokens=options.thinking_tokens,
            served_as=options.served_as,
        )
    kind, reason = _picked(options)
    if reason:
        _tell(kind, reason)
    return open_folder(resolve_model(options.model, options.run), options.model, replace(options, engine=kind))


def open_folder(folder: "Path", name: str, options: EngineOptions) -> "Engine":
    """Return the engine of the model in `folder`, which is called `name` and loaded once it is asked something.

    It is vLLM's if `options` name vLLM, or else that of transformers. Raises InputError if the model has no chat
    template.
    """
    from engines.local.opening import open_local

    if options.engine == "vllm":
        check_no_dtype(options)  # again, because `auto` may have picked vLLM
    vllm = memory_of(options) if options.engine == "vllm" else None
    return open_local(folder, name, options.batch_size, options.chat_template_kwargs, vllm, options.dtype)
