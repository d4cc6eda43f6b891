"""The flags of evals.reward_model."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from console.command import Flags, Given
from console.ranges import Count, Positive
from console.writing import OutFolder
from engines.options import EngineOptions, SharedEngineOptions
from evals.folders import results_folder
from judges.options import Aggregate, JudgeOptions
from records.inputs import output_name

BENCHMARK = "reward_model"
NO_REFERENCE = "none"


@dataclass(frozen=True)
class ImplicitOptions:
    """How a policy's implicit reward is computed (--judge dpo:MODEL)."""

    reference: str | None = None
    """The model that DPO started from, a name as for --model. none: score by the policy's own log-probability."""
    beta: Positive = 0.1
    """DPO's beta, the scale of the rewards. The measures do not depend on it."""
    per_token: bool = False
    """Divide the reward by the number of the answer's tokens."""


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Measure judges on answers that people ranked."""

    file: Given = None
    """Ranked answers that no judge was trained on, or a judge benchmark: its file, or a folder of its files."""
    engine: SharedEngineOptions = field(default_factory=EngineOptions)
    judging: Annotated[JudgeOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=JudgeOptions)
    judge: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A judge. Repeat the flag for more, each compared with the first. A judge is a name as for --model,
    NAME@http://host/v1, or a TOML file of what differs from this command's own flags. A reward model's folder is a
    judge too, without a rubric or a best score, and so is dpo:MODEL, a policy that DPO trained. The default is
    --model."""
    dpo: Annotated[ImplicitOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=ImplicitOptions)
    judgments: tyro.conf.UseAppendAction[tuple[Path, ...]] = ()
    """Stored judgments of one judge, matched by their texts. Repeat the flag for more files."""
    panel: bool = False
    """Also measure all judges together as a panel."""
    quorum: Count | None = None
    """The number of judges that must have a verdict for the panel. The default is more than half."""
    panel_rule: Aggregate | None = None
    """How the panel's scores are combined. The default is the mean, and for comparisons the majority or else a tie."""
    limit: Count | None = None
    """Only the first N prompts, or items of a benchmark."""
    resamples: Count = 1000
    """Bootstrap resamples for the intervals."""
    out: OutFolder | None = None
    """The folder of the results. The default is runs/<run>/evals/<model>/reward_model."""


def results_of(config: Config, judge: EngineOptions) -> Path:
    """Return the folder of one judge's results."""
    return config.out or results_folder(judge, BENCHMARK)


def name_of(config: Config) -> str:
    """Return the part of a result's name that stands for the file of ranked answers."""
    return output_name(config.file) if config.file else ""
