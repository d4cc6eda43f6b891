"""The flags of python -m judges.score."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from console.command import Flags, Given
from console.ranges import Count
from console.writing import OutRows
from engines.options import EngineOptions, SharedEngineOptions
from judges.options import CostOptions, JudgeOptions, PanelOptions
from judges.tools.options import EvidenceOptions


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Score every response in a file."""

    file: Given = None
    """Responses to score. The default is the newest run's, or a packaged example if there is no run."""
    engine: SharedEngineOptions = field(default_factory=EngineOptions)
    judge: Annotated[JudgeOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=JudgeOptions)
    evidence: Annotated[EvidenceOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=EvidenceOptions)
    panel: Annotated[PanelOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=PanelOptions)
    cost: Annotated[CostOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=CostOptions)
    limit: Count | None = None
    """Score only the first N responses."""
    export_batch: OutRows | None = None
    """Call no model. Write the calls as an OpenAI batch file, which vllm run-batch reads too."""
    import_batch: tyro.conf.UseAppendAction[tuple[Path, ...]] = ()
    """Call no model. Read the replies from this output file of a batch. Repeat the flag for several files."""
    out: OutRows | None = None
    """The output file of judgments. The default is
    runs/scores/<file>-<digest of its path>-<judge fingerprint>.jsonl."""
