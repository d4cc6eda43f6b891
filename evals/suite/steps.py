"""The evaluations as commands: a file of settings for each, with the model in it."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from evals.suite.options import Config
from records import write_atomic

SEVERAL = ("factuality", "head_to_head", "safety")
"""Evaluations of several models side by side."""
AT_THE_TOP = ("open_llm",)
"""Evaluations whose settings have the model at the top and not in [engine]."""


WITHOUT_MODEL = ("human",)
"""Evaluations of what a run holds already."""


@dataclass(frozen=True)
class Step:
    """One evaluation to run."""

    name: str
    settings: Path
    """The file with its settings."""

    def command(self, *flags: str) -> list[str]:
        """Return the command line."""
        return [sys.executable, "-m", f"evals.{self.name}", "--config", str(self.settings), *flags]


def steps_of(config: Config, folder: Path) -> list[Step]:
    """Write the settings of each evaluation to `folder`, and return the steps."""
    steps = []
    for name, settings in config.sections().items():
        step = Step(name, folder / f"{name}.toml")
        write_atomic(step.settings, tomli_w.dumps(with_model(name, settings, config)))
        steps.append(step)
    return steps


def with_model(name: str, settings: Mapping[str, Any], config: Config) -> dict[str, Any]:
    """Return the settings of an evaluation with the model and the run. What a section says itself stays."""
    run = {} if config.run is None else {"run": config.run}
    whole: dict[str, Any] = {"seed": config.seed, **settings}
    if name in AT_THE_TOP:
        return {"model": config.model, **run, **whole}
    if name in WITHOUT_MODEL:
        return {**run, **whole}
    engine = dict(settings.get("engine", {}))
    if name in SEVERAL:
        others = [other for other in config.baselines if other != config.model]
        # The first model is the one that the win rate is of, and the one that changes are counted from.
        models = [config.model, *others] if name == "head_to_head" else [*others, config.model]
        return {"models": models, **whole, "engine": {**run, **engine}}
    return {**whole, "engine": {"model": config.model, **run, **engine}}
