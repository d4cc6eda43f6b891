"""The flags of python -m judges.rubrics."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from console.command import Flags, Given
from console.ranges import Count, NotNegative, ShareAbove0
from console.writing import OutFolder
from engines.options import EngineOptions, SharedEngineOptions
from judges.options import JudgeOptions


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """List the rubrics, show one, or write one from labels."""

    name: Given = None
    """The name of a rubric to show, or the path of a .toml file."""
    labels: Annotated[Path | None, tyro.conf.arg(name="from")] = None
    """Labelled pairs, as for judges.calibrate. A model writes a rubric from a judge's disagreements with them."""
    engine: SharedEngineOptions = field(default_factory=EngineOptions)
    judge: Annotated[JudgeOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=JudgeOptions)
    proposer: str | None = None
    """The model that writes the criteria, or NAME@http://host/v1. The default is the judge's."""
    rounds: Count = 4
    """Rounds of proposals. The search ends after two rounds without a better one."""
    candidates: Count = 2
    """Proposals in a round."""
    cases: Count = 6
    """Disagreements that the model is shown in a round."""
    proposal_tokens: Count = 1024
    """Maximum length of a proposal in tokens."""
    proposal_temperature: NotNegative = 0.8
    """Temperature of the proposals."""
    held_out_share: ShareAbove0 = 0.4
    """The share of the prompts on which the result is measured and from which nothing is learned."""
    limit: Count | None = None
    """Only N random prompts."""
    resamples: Count = 1000
    """Bootstrap resamples for the intervals."""
    out: OutFolder | None = None
    """The folder of the rubric. The default is runs/rubrics/<set>-<digest of its path>."""
