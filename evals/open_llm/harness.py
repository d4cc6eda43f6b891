"""Asks a model a task with lm-eval and reads its number, its error, and which replies had no answer."""

import importlib
import logging
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, cast

import torch
from lm_eval.api.group import Group
from lm_eval.api.model import LM, CachingLM
from lm_eval.api.task import ConfigurableTask
from lm_eval.evaluator import evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from lm_eval.tasks.manager import TaskDict

from engines.chat.template import load_tokenizer
from engines.local.vllm.installed import import_vllm
from engines.merging import whole
from evals.open_llm.task import TaskFile

LMEngine = Literal["transformers", "vllm"]
NO_ANSWER = "[invalid]"
"""The result of lm-eval's filters for a reply that their pattern does not match."""


@dataclass(frozen=True)
class Asking:
    """The number of questions and their form."""

    limit: int | None
    """Questions of each task, and of each subject of MMLU."""
    chat: bool
    seed: int


@dataclass(frozen=True)
class Score:
    """A model's result on one task. Numbers are in [0, 1], unless `is_share` is False."""

    task: str
    metric: str
    value: float | None = None
    """None if there is no number. `reason` says why."""
    stderr: float | None = None
    n: int = 0
    """Questions."""
    shots: int = 0
    no_answer: list[str] = field(default_factory=list)
    """Task and number of each question whose reply has no readable answer. lm-eval counts it as wrong."""
    n_cut: int = 0
    """Prompts that were longer than the model's context and lost their beginning."""
    reason: str | None = None
    metrics: dict[str, float | None] = field(default_factory=dict)
    """All of lm-eval's numbers."""
    is_share: bool = True
    """Whether the value lies between 0 and 1 and is shown in percent. A perplexity, for example, does not."""


def load_model(
    folder: Path,
    batch_size: int,
    chat_template_kwargs: Mapping[str, Any] | None = None,
    engine: LMEngine = "transformers",
) -> LM:
    """Return the model in `folder` for lm-eval: in its own precision on a GPU, in float32 on a CPU."""
    on_gpu = torch.cuda.is_available()
    device, dtype = ("cuda", "auto") if on_gpu else ("cpu", "float32")  # bfloat16 is slow on most CPUs
    with whole(folder) as weights:
        if engine == "vllm":
            import_vllm()
            on_vllm = importlib.import_module("evals.open_llm.on_vllm")  # by name, because it imports vLLM
            return cast(LM, on_vllm.load_on_vllm(weights, dtype, chat_template_kwargs or {}))
        tokenizer = load_tokenizer(weights, chat_template_kwargs)
        return HFLM(pretrained=str(weights), tokenizer=tokenizer, device=device, dtype=dtype, batch_size=batch_size)


def ask(
    task: TaskFile, built: ConfigurableTask | Group, model: LM, asking: Asking, cache: Path
) -> tuple[Score, dict[str, Any]]:
    """Return the score of a task and all of lm-eval's results. Earlier replies of the model come from `cache`."""
    results, n_cut = run(TaskManager(include_defaults=False).load([built]), model, asking, cache)
    return score(task, results, n_cut), results


def run(loaded: TaskDict, model: LM, asking: Asking, cache: Path) -> tuple[dict[str, Any], int]:
    """Return lm-eval's results on loaded tasks, and the number of prompts that were cut."""
    for part in loaded["tasks"].values():
        part.set_fewshot_seed(seed=asking.seed)  # the only random draw: no task samples its replies
    with Messages() as messages:
        results = evaluate(
            lm=caching(model, cache),
            task_dict=loaded,
            limit=asking.limit,
            apply_chat_template=asking.chat,
            fewshot_as_multiturn=True,
        )
    return results, messages.n_cut


class Replies:
    """The replies that are stored, looked up in memory and written once each.

    lm-eval itself looks each up in the file, and writes it once when it comes and again after all others.
    """

    def __init__(self, stored: Any) -> None:
        self._stored = stored
        self._keys = set(stored)
        self._written: dict[str, Any] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def __getitem__(self, key: str) -> Any:
        return self._stored[key]

    def __setitem__(self, key: str, reply: Any) -> None:
        if key not in self._written or self._written[key] != reply:
            self._stored[key] = self._written[key] = reply

    def commit(self) -> None:
        """Wait until all replies are in the file."""
        self._stored.commit()


def caching(model: LM, path: Path) -> CachingLM:
    """Return the model with its replies stored at `path`, so that it is asked for missing ones only."""
    cached = CachingLM(model, str(path))
    stored = type(cached.dbdict)
    cached.dbdict.close()
    # without the caller's stack, which each write would take for messages about failed ones
    cached.dbdict = Replies(stored(str(path), autocommit=True, outer_stack=False))
    model.set_cache_hook(cached.get_cache_hook())
    return cached


def score(task: TaskFile, results: Mapping[str, Any], n_cut: int = 0) -> Score:
    """Return the score of a task from lm-eval's results."""
    # a task of one part has lm-eval's name of it
    stock = task.name if task.name in results["results"] else next(iter(results["results"]))
    # "metric,filter" is lm-eval's form of a number's name
    numbers = results["groups"][task.name] if task.name in results.get("groups", {}) else results["results"][stock]
    metric, _, filter_name = task.metric.partition(",")
    metrics = {name: number_of(value) for name, value in numbers.items() if "," in name}
    value = metrics[task.metric]
    return Score(
        task=task.name,
        metric=task.metric,
        value=value,
        stderr=metrics.get(f"{metric}_stderr,{filter_name}"),
        n=sum(counts["effective"] for counts in results["n-samples"].values()),
        shots=max(results["n-shot"].values()),
        no_answer=no_answer_in(results["samples"], filter_name),
        n_cut=n_cut,
        reason=None if value is not None else f"{task.metric} is not a number",
        metrics=metrics,
    )


def as_json(score: Score) -> dict[str, Any]:
    """Return the score as plain data, with the number of replies without an answer."""
    return asdict(score) | {"n_no_answer": len(score.no_answer)}


def number_of(value: object) -> float | None:
    """Return a finite number, or None for anything else: lm-eval gives N/A as the error of a single question."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def no_answer_in(samples: Mapping[str, list[dict[str, Any]]], filter_name: str) -> list[str]:
    """Return task and number of each question whose reply has no readable answer."""
    return [
        f"{name} {sample['doc_id']}"
        for name, some in samples.items()
        for sample in some
        if sample["filter"] == filter_name and NO_ANSWER in sample["filtered_resps"]
    ]


class Messages(logging.Handler):
    """Keeps lm-eval's messages off the screen and counts those about a cut prompt."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.n_cut = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Count the message if it is about a cut prompt."""
        message = record.getMessage()
        self.n_cut += "exceeds model's maximum length" in message or "Left truncation applied" in message

    def __enter__(self) -> "Messages":
        self.restored = hidden_bars()
        logger = logging.getLogger("lm_eval")
        logger.addHandler(self)
        self.propagated, logger.propagate = logger.propagate, False
        return self

    def __exit__(self, *_: object) -> None:
        for module, bar in self.restored.items():
            vars(module)["tqdm"] = bar
        logger = logging.getLogger("lm_eval")
        logger.removeHandler(self)
        logger.propagate = self.propagated


def hidden_bars() -> dict[ModuleType, Any]:
    """Turn lm-eval's progress bars off if stderr is no terminal. Return the bars of its modules, to restore them.

    Some of them say explicitly that they are not turned off, so that TQDM_DISABLE has no effect.
    """
    if sys.stderr.isatty():
        return {}
    modules = [module for name, module in sys.modules.items() if name.startswith("lm_eval.")]
    bars = {module: bar for module in modules if isinstance(bar := getattr(module, "tqdm", None), type)}
    for module, bar in bars.items():
        vars(module)["tqdm"] = partial(_hidden, bar)
    return bars


def _hidden(bar: Any, *arguments: Any, **flags: Any) -> Any:
    return bar(*arguments, **flags | {"disable": True})
