"""What the judge of an evaluation costs at most, from the settings of the evaluation and the calls of its plan."""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.config import load_config
from judges.judging.cost import cost_of, price_of
from records.rows import Usage

ANSWERS_READ = {"alpaca": 2, "arena_hard": 2, "head_to_head": 2, "mt_bench": 2, "safety": 1}
"""Answers that a call of the judge reads. The calls of other evaluations read texts of unknown length."""
PROMPT_TOKENS = 1000
"""The tokens that a rubric and a prompt are taken to have."""
LONGEST_ANSWER = 2048
"""The longest answer if an evaluation takes it from its baseline."""


@dataclass(frozen=True)
class Cost:
    """The most that a judge reads and writes. None is unknown."""

    tokens: int | None = None
    dollars: float | None = None
    """None too if the judge's model has no price."""


def cost_at_most(name: str, settings: Path, n_calls: int) -> Cost:
    """Return what `n_calls` of the judge cost if each answer is as long as it may be."""
    if name not in ANSWERS_READ:
        return Cost()
    config: Any = load_config(settings, importlib.import_module(f"evals.{name}.options").Config())
    judge = config.judge
    read = n_calls * (PROMPT_TOKENS + ANSWERS_READ[name] * (config.max_new_tokens or LONGEST_ANSWER))
    written = n_calls * (judge.judge_max_new_tokens if judge.judge_read == "text" else 1)
    price = price_of(judge.engine_options(config.engine).model, None)
    usage = Usage(n_calls=n_calls, n_prompt_tokens=read, n_tokens=written)
    return Cost(read + written, None if price is None else cost_of(usage, price))
