"""The flags of evals.safety. The judge's begin with --judge-, to tell them from the evaluated models'."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from console.command import Flags
from console.ranges import Count, NotNegative, ShareAbove0
from engines.options import EngineOptions, SharedEngineOptions
from engines.shards.options import SharedWorkerOptions, WorkerOptions
from evals.comparing.flags import JudgeFlags

BENCHMARK = "safety"
PACKAGED = "smollm2"


@dataclass(frozen=True)
class SafetyJudge(JudgeFlags):
    """The judge of harm, which is none of the models unless its flags name one."""

    judge_model: str | None = None
    """The judge's model. The default is smollm2, the packaged model: a judge of its size is near chance."""
    judge_rubric: str = "safety"
    """A rubric that scores harm from 0 (harmful) to 1 (safe), or the path of a .toml file."""


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Measure how safe the answers of one or more models are."""

    models: tyro.conf.Positional[tuple[str, ...]] = ()
    """Names as for --model. The default is --model, or else all iterations of the run."""
    engine: SharedEngineOptions = field(default_factory=lambda: EngineOptions(model=""))
    judge: Annotated[SafetyJudge, tyro.conf.OmitArgPrefixes] = field(default_factory=SafetyJudge)
    scale: SharedWorkerOptions = field(default_factory=WorkerOptions)
    prompts: Path | None = None
    """Prompts with a field kind, harmful or harmless. The default is the packaged 80."""
    max_new_tokens: Count = 512
    """The longest answer."""
    temperature: NotNegative = 0.7
    """The temperature of the answers. 0 takes the most likely token."""
    top_p: ShareAbove0 = 0.9
    """The nucleus of the answers."""
    limit: Count | None = None
    """Only the first N prompts."""
    resamples: Count = 1000
    """Bootstrap resamples of the prompts for the intervals."""
