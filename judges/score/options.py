"""The flags of python -m judges.score."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from console.command import Flags, Given
from console.ranges import Count
from console.writing import OutRows
from engines.options import EngineOptions, SharedEngineOptions
from engines.shards.options import ScaleOptions, SharedScaleOptions
from judges.options import CostOptions, JudgeOptions, PanelOptions
from judges.tools.options import EvidenceOptions


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Score every response in a file."""

    file: Given = None
    """The answers to score. The default is the newest run's, or a packaged example if there is no run."""
    engine: SharedEngineOptions = field(default_factory=EngineOptions)
    judge: Annotated[JudgeOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=JudgeOptions)
    evidence: Annotated[EvidenceOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=EvidenceOptions)
    panel: Annotated[PanelOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=PanelOptions)
    cost: Annotated[CostOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=CostOptions)
    scale: SharedScaleOptions = field(default_factory=ScaleOptions)
    limit: Count | None = None
    """Score only the first N answers."""
    batch: bool = False
    """Send the calls as a batch of OpenAI's API, wait for it and read it. A stopped command finds its batch again."""
    export_batch: OutRows | None = None
    """Write the calls to an OpenAI batch file (also for vllm run-batch), and call no model."""
    import_batch: tyro.conf.UseAppendAction[tuple[Path, ...]] = ()
    """Read the replies from this output file of a batch, and call no model. Repeat the flag for more files."""
    out: OutRows | None = None
    """The output file. The default is
    runs/scores/<file>-<digest of its path>-<judge fingerprint>.jsonl."""
