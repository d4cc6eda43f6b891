"""Asks a model a task through lm-eval and reads its number, with its error and with the replies that had no answer."""

import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.open_llm.task import TaskFile

if TYPE_CHECKING:
    from lm_eval.api.group import Group
    from lm_eval.api.model import LM
    from lm_eval.api.task import ConfigurableTask

NO_ANSWER = "[invalid]"
"""What lm-eval's filters say of a reply that their pattern does not match."""


@dataclass(frozen=True)
class Asking:
    """How the tasks are asked."""

    limit: int | None
    """Questions of each task, and of each subject of MMLU."""
    chat: bool
    seed: int


@dataclass(frozen=True)
class Score:
    """What one task says of a model; a number is in [0, 1]."""

    task: str
    metric: str
    value: float | None = None
    """None where there is no number; `reason` says why."""
    stderr: float | None = None
    n: int = 0
    """Questions."""
    shots: int = 0
    no_answer: list[str] = field(default_factory=list)
    """Task and number of each question whose reply has no answer to read: lm-eval counts it as wrong."""
    n_cut: int = 0
    """Prompts that were longer than the model's context and lost their beginning."""
    reason: str | None = None
    metrics: dict[str, float | None] = field(default_factory=dict)
    """All of lm-eval's numbers."""


def load_model(folder: Path, batch_size: int, chat_template_kwargs: Mapping[str, Any] | None = None) -> "LM":
    """Return the model in `folder` for lm-eval: in its own precision on a GPU, in float32 on a processor."""
    import torch
    from lm_eval.models.huggingface import HFLM

    from engines.chat.template import load_tokenizer

    tokenizer = load_tokenizer(folder, chat_template_kwargs)
    on_gpu = torch.cuda.is_available()
    device, dtype = ("cuda", "auto") if on_gpu else ("cpu", "float32")
    return HFLM(pretrained=str(folder), tokenizer=tokenizer, device=device, dtype=dtype, batch_size=batch_size)


def ask(
    task: TaskFile, built: "ConfigurableTask | Group", model: "LM", asking: Asking, cache: Path
) -> tuple[Score, dict[str, Any]]:
    """Return the score of a task, and all that lm-eval says; what the model said to it before is taken from `cache`."""
    from lm_eval.api.model import CachingLM
    from lm_eval.evaluator import evaluate
    from lm_eval.tasks import TaskManager

    loaded = TaskManager(include_defaults=False).load([built])
    for part in loaded["tasks"].values():
        part.set_fewshot_seed(seed=asking.seed)  # the only thing that is drawn: no task samples its replies
    with Messages() as messages:
        found = evaluate(
            lm=CachingLM(model, str(cache)),
            task_dict=loaded,
            limit=asking.limit,
            apply_chat_template=asking.chat,
            fewshot_as_multiturn=True,
        )
    return score(task, found, messages.n_cut), found


def score(task: TaskFile, found: Mapping[str, Any], n_cut: int = 0) -> Score:
    """Return the number that is shown of a task, from lm-eval's results."""
    stock = task.name if task.name in found["results"] else next(iter(found["results"]))
    numbers = found["groups"][task.name] if task.name in found.get("groups", {}) else found["results"][stock]
    metric, _, filter_name = task.metric.partition(",")
    metrics = {name: _number(value) for name, value in numbers.items() if "," in name}
    value = metrics[task.metric]
    return Score(
        task=task.name,
        metric=task.metric,
        value=value,
        stderr=metrics.get(f"{metric}_stderr,{filter_name}"),
        n=sum(one["effective"] for one in found["n-samples"].values()),
        shots=max(found["n-shot"].values()),
        no_answer=_no_answer(found["samples"], filter_name),
        n_cut=n_cut,
        reason=None if value is not None else f"{task.metric} is not a number",
        metrics=metrics,
    )


def as_json(one: Score) -> dict[str, Any]:
    """Return the score as plain data, with how many replies had no answer."""
    return asdict(one) | {"n_no_answer": len(one.no_answer)}


def _number(value: object) -> float | None:
    """Return None for lm-eval's N/A, which is the error of a single question, and for what is not a number."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _no_answer(samples: Mapping[str, list[dict[str, Any]]], filter_name: str) -> list[str]:
    return [
        f"{name} {sample['doc_id']}"
        for name, some in samples.items()
        for sample in some
        if sample["filter"] == filter_name and NO_ANSWER in sample["filtered_resps"]
    ]


class Messages(logging.Handler):
    """Keeps lm-eval's messages from the screen, and counts the prompts that it says it cut."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.n_cut = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Count what says that a prompt was cut."""
        message = record.getMessage()
        self.n_cut += "exceeds model's maximum length" in message or "Left truncation applied" in message

    def __enter__(self) -> "Messages":
        logger = logging.getLogger("lm_eval")
        logger.addHandler(self)
        self.propagated, logger.propagate = logger.propagate, False
        return self

    def __exit__(self, *_: object) -> None:
        logger = logging.getLogger("lm_eval")
        logger.removeHandler(self)
        logger.propagate = self.propagated
