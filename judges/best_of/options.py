"""The flags of python -m judges.best_of."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from console.command import Flags, Given
from console.ranges import Count
from console.writing import OutRows
from engines.options import EngineOptions, SharedEngineOptions
from judges.options import JudgeOptions
from judges.tools.options import EvidenceOptions


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Keep the best of several answers to each prompt."""

    file: Given = None
    """Answers, several per prompt."""
    reward: Path | None = None
    """The folder of the reward model that scores the answers. Without it, and if FILE has no scores, a judge scores
    them."""
    engine: SharedEngineOptions = field(default_factory=EngineOptions)
    judge: Annotated[JudgeOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=JudgeOptions)
    evidence: Annotated[EvidenceOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=EvidenceOptions)
    limit: Count | None = None
    """Only the first N prompts, with all their answers."""
    out: OutRows | None = None
    """The output file of best answers. New scores go beside it (.judgments.jsonl). The default is
    runs/best_of/<file>-<digest of its path>-<key of the settings>.jsonl."""
