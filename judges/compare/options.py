"""The flags of python -m judges.compare."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from console.command import Flags, Given
from console.ranges import Count
from console.writing import OutRows
from engines.options import EngineOptions, SharedEngineOptions
from engines.shards.options import ScaleOptions, SharedScaleOptions
from judges.options import PAIRWISE, CostOptions, JudgeOptions, PanelOptions


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Compare two answers to each prompt."""

    a: Given = None
    """The first model's answers, or a file with two answers in each row."""
    b: Given = None
    """The second model's answers."""
    engine: SharedEngineOptions = field(default_factory=EngineOptions)
    judge: Annotated[JudgeOptions, tyro.conf.OmitArgPrefixes] = PAIRWISE
    panel: Annotated[PanelOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=PanelOptions)
    cost: Annotated[CostOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=CostOptions)
    orders: Literal["both", "one"] = "both"
    """one: each pair is asked in a single random order. This halves the cost, but keeps the judge's position bias."""
    scale: SharedScaleOptions = field(default_factory=ScaleOptions)
    limit: Count | None = None
    """Compare only the first N pairs."""
    batch: bool = False
    """Send the calls as a batch of OpenAI's API, wait for it and read it. A stopped command finds its batch again."""
    export_batch: OutRows | None = None
    """Write the calls to an OpenAI batch file (also for vllm run-batch), and call no model."""
    import_batch: tyro.conf.UseAppendAction[tuple[Path, ...]] = ()
    """Read the replies from this output file of a batch, and call no model. Repeat the flag for more files."""
    out: OutRows | None = None
    """The output file. The default is runs/comparisons/<files>-<judge fingerprint>.jsonl."""
