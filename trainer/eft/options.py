"""The settings of python -m trainer.eft."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from console.command import Flags, Given
from console.ranges import Count, ShareAbove0, ShareBelow1, ShareBetween
from console.writing import OutFolder
from engines.options import EngineOptions, SharedEngineOptions
from judges.options import JudgeOptions


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Make data that teach a model to judge."""

    file: Given = None
    """Ranked answers."""
    engine: SharedEngineOptions = field(default_factory=EngineOptions)
    judge: Annotated[JudgeOptions, tyro.conf.OmitArgPrefixes] = field(
        default_factory=lambda: JudgeOptions(read="text", samples=1, min_coverage=0.0)
    )
    targets: Literal["judged", "ranks"] = "judged"
    """judged: the model's own replies, if they agree with the people. ranks: scores made from the ranks without asking
    a model, for a model too small to write a score that can be parsed."""
    agreement: Literal["prompt", "pair"] = "prompt"
    """prompt: keep a prompt if none of its pairs is scored against the people and at least one as they ranked it. pair:
    the same rule for each answer's own pairs. A tie of the judge counts neither way."""
    ift_share: ShareBelow1 = 0.3
    """The share of the trees whose best first answers are for IFT."""
    held_out_share: ShareBetween = 0.3
    """The share of the trees reserved for evals.reward_model. The rest is for EFT."""
    max_share: ShareAbove0 = 0.4
    """The largest share of the examples that one score may have."""
    limit: Count | None = None
    """Use only the first N prompts of the EFT part."""
    split_only: bool = False
    """Write the three parts and stop, so that a model can be trained on ift.jsonl first."""
    out: OutFolder = Path("runs/eft")
    """The folder for ift, eft, held_out, judgments and train .jsonl, split.json and counts.json."""
