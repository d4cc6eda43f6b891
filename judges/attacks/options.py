"""The flags of python -m judges.attacks."""

from dataclasses import dataclass, field
from typing import Annotated

import tyro

from console.command import Flags
from console.ranges import Count, ShareBelow1
from console.writing import OutRows
from engines.options import EngineOptions, SharedEngineOptions
from judges.options import JudgeOptions


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Measure how often attacks fool the judge."""

    engine: SharedEngineOptions = field(default_factory=lambda: EngineOptions(model=""))
    judge: Annotated[JudgeOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=JudgeOptions)
    limit: Count | None = None
    """Ask the model about N attacked answers, equally many of each family. The default is all."""
    margin: ShareBelow1 = 0.1
    """The model is fooled by a rise of more than this share of the scale, or by the best score."""
    out: OutRows | None = None
    """The output file of judgments. The default is runs/attacks/<judge fingerprint>.jsonl."""
