"""The flags of evals.head_to_head. The judge's begin with --judge-, to tell them from the compared models'."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro

from console.command import Flags
from console.errors import InputError
from console.ranges import Count, NotNegative, ShareAbove0
from console.writing import OutFolder, OutPicture
from engines.options import EngineOptions, SharedEngineOptions, is_served
from engines.shards.options import SharedWorkerOptions, WorkerOptions
from evals.comparing.flags import JudgeFlags

BENCHMARK = "head_to_head"
PACKAGED = "smollm2"


@dataclass(frozen=True)
class OutsideJudge(JudgeFlags):
    """The judge that compares the answers, which is none of the models unless its flags name one."""

    judge_model: str | None = None
    """The judge's model. The default is smollm2, the packaged model: a judge of its size is near chance."""

    def named(self, engine: EngineOptions) -> "OutsideJudge":
        """Return these flags with the judge's model. `engine` is that of the compared models.

        Raises InputError if the judge is on a server, whose models only the user knows, and has no name.
        """
        if self.judge_model is not None:
            return self
        named = replace(self, judge_model=PACKAGED)
        if is_served(named.engine_options(engine)):
            raise InputError("the judge is on a server: name its model there with --judge-model")
        return named


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Compare the answers of two or more models."""

    models: tyro.conf.Positional[tuple[str, ...]] = ()
    """Two or more models, each a name as for --model, NAME@http://host/v1, a file of one model's answers, or a TOML
    file of what differs from this command's engine flags: model, base_url and so on."""
    engine: SharedEngineOptions = field(default_factory=lambda: EngineOptions(model=""))
    baseline: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A model or file to compare with --model. Repeat the flag for more. The same as naming them without a flag."""
    judge: Annotated[OutsideJudge, tyro.conf.OmitArgPrefixes] = field(default_factory=OutsideJudge)
    scale: SharedWorkerOptions = field(default_factory=WorkerOptions)
    prompts: Path | None = None
    """Prompts to answer. The default is those of the files of answers, or else the run's held-out prompts."""
    max_new_tokens: Count = 2048
    """The longest answer."""
    temperature: NotNegative = 0.7
    """The temperature of the answers. 0 takes the most likely token."""
    top_p: ShareAbove0 = 0.9
    """The nucleus of the answers."""
    limit: Count | None = None
    """Only the first N prompts that every file answers."""
    resamples: Count = 1000
    """Bootstrap resamples of the prompts for the intervals."""
    picture: OutPicture | None = None
    """Draw the win rate of each model over each other one as a matrix."""
    out: OutFolder | None = None
    """The folder of the results. The default is runs/<run>/evals/head_to_head, or head_to_head-<file>-<digest of its
    path> with --prompts or files of answers."""
