"""Flags of the audit."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from console.command import Flags, Given
from console.ranges import Count, CountOr0
from console.writing import OutFolder
from engines.options import EngineOptions, SharedEngineOptions
from judges.labelled.readers.names import FormatName
from judges.options import JudgeOptions

OUT = Path("runs/audit")


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Audit a judge against human labels."""

    file: Given = None
    """The labelled set: a file, or a folder for FairEval."""
    verdicts: Path | None = None
    """Existing verdicts to audit instead of asking a judge: this project's judgments or comparisons, or a table."""
    engine: SharedEngineOptions = field(default_factory=EngineOptions)
    judge: Annotated[JudgeOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=JudgeOptions)
    format: FormatName | None = None
    """The labelled set's format. The default is recognised by its fields."""
    verdict_column: str | None = None
    """The table's column of verdicts. The default is verdict, winner, preference, prediction, gpt_result or score."""
    human_column: str | None = None
    """The table's column of labels. The default is human, label or gold."""
    id_column: str | None = None
    """The table's column of row ids. The default is pair_id, id, idx or uid."""
    codes: str | None = None
    """The meaning of a table's cells, like 0=a,1=b,2=tie. The default knows a, b, tie, 1, 2, 0 and more."""
    limit: Count | None = None
    """Take only N rows, drawn with --seed (of ranked answers: N prompts)."""
    retest: CountOr0 = 0
    """Ask the judge N more times with other seeds and compare (--read text)."""
    likelihood: bool = False
    """Add the baseline 'the likelier is better': a pass of the judge's own model over each answer (transformers)."""
    attacks: CountOr0 = 0
    """Also measure how often N answers that address the judge fool its model (a rubric that scores)."""
    test: Path | None = None
    """Comparisons or a table without labels. The audit corrects their win rate for the judge's errors."""
    own_model: str | None = None
    """The name of the judge's own model in the set, for self-preference. The default is --model."""
    resamples: Count = 1000
    """Bootstrap resamples for the intervals."""
    out: OutFolder | None = None
    """The folder for rows and report. The default is runs/audit/<set>-<digest of its path>-<judge fingerprint>."""
