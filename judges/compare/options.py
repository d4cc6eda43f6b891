"""The flags of python -m judges.compare."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from console.command import Flags, Given
from console.ranges import Count
from console.writing import OutRows
from engines.options import EngineOptions, SharedEngineOptions
from judges.options import PAIRWISE, CostOptions, JudgeOptions, PanelOptions


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Compare two answers to each prompt."""

    a: Given = None
    """Answers, or a file that has two answers in each row."""
    b: Given = None
    """The answers to compare them with."""
    engine: SharedEngineOptions = field(default_factory=EngineOptions)
    judge: Annotated[JudgeOptions, tyro.conf.OmitArgPrefixes] = PAIRWISE
    panel: Annotated[PanelOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=PanelOptions)
    cost: Annotated[CostOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=CostOptions)
    orders: Literal["both", "one"] = "both"
    """one asks each pair in a single order, drawn from the seed and recorded. This halves the cost, but the judge's
    position bias remains."""
    limit: Count | None = None
    """Compare only the first N pairs."""
    export_batch: OutRows | None = None
    """Call no model. Write the calls as an OpenAI batch file, which vllm run-batch reads too."""
    import_batch: tyro.conf.UseAppendAction[tuple[Path, ...]] = ()
    """Call no model. Read the replies from this output file of a batch. Repeat the flag for several files."""
    out: OutRows | None = None
    """The output file of comparisons. The default is runs/comparisons/<files>-<judge fingerprint>.jsonl, each file
    with a digest of its path."""
