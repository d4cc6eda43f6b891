"""Where the rewards come from: a reward model, a Python function, or a judge."""

import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from console.errors import EngineError, InputError, JudgeloopError

if TYPE_CHECKING:
    from judges.judging.judge import Judge
    from records import Judgment, Message, Store

Reward = Callable[["list[str | list[Message]]", list[str]], Sequence[float | None]]
"""Takes prompts and the texts that answer them, and returns a reward for each, or None where there is none."""


@dataclass(frozen=True)
class RewardSource:
    """A reward, and what tells it from others."""

    name: str
    reward: Reward
    digest: str = ""
    """Identifies what the rewards depend on: a training with another one is another training."""
    folder: Path | None = None
    """The reward model's, whose body the value model begins with."""


def scored(source: RewardSource, prompts: "list[str | list[Message]]", texts: list[str]) -> list[float | None]:
    """Return the rewards, None for those that are not finite numbers; raises EngineError where the source fails."""
    if not texts:
        return []
    try:
        rewards = [None if reward is None else float(reward) for reward in source.reward(prompts, texts)]
    except JudgeloopError:
        raise
    except Exception as error:  # a function is the user's: anything can come out of it
        raise EngineError(f"{source.name}: the reward failed: {type(error).__name__}: {error}") from error
    if len(rewards) != len(texts):
        raise EngineError(f"{source.name}: {len(texts)} answers were given and {len(rewards)} rewards came back")
    return [reward if reward is not None and math.isfinite(reward) else None for reward in rewards]


def reward_model(folder: Path, batch_size: int) -> RewardSource:
    """Return the rewards of the model in `folder`, which tokenises the texts anew with its own tokenizer."""
    from engines.reward_model import RewardModel

    model = RewardModel.load(folder, str(folder), batch_size)
    return RewardSource(str(folder), model.score, model.digest, folder)


def reward_function(name: str) -> RewardSource:
    """Return the rewards of the function called `module:function`; raises InputError where there is none."""
    module_name, _, function_name = name.partition(":")
    try:
        function = getattr(importlib.import_module(module_name), function_name, None)
    except ImportError as error:
        raise InputError(f"--reward {name}: the module cannot be imported: {error}") from None
    if not callable(function):
        raise InputError(f"--reward {name}: the module {module_name} has no function '{function_name}'")
    return RewardSource(name, function, name)


def judge_reward(judge: "Judge", store: "Store[Judgment]") -> RewardSource:
    """Return the scores of `judge`; what it has said is kept in `store`, so that no answer is paid for twice."""

    def reward(prompts: "list[str | list[Message]]", texts: list[str]) -> list[float | None]:
        from judges.library import response_of

        responses = [response_of(prompt, text, None) for prompt, text in zip(prompts, texts, strict=True)]
        for judgment in judge.judge(responses, store.ids):
            store.append(judgment)
        wanted = [judge.judgment_id(response) for response in responses]
        found = {row.id: row.score for row in store.chosen(dict.fromkeys(wanted))}
        return [found[one] for one in wanted]

    return RewardSource(f"judge {judge.rubric.name}", reward, judge.fingerprint)
