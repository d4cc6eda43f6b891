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
    """Stored verdicts to measure, instead of asking a judge: judgments, comparisons or a table."""
    engine: SharedEngineOptions = field(default_factory=EngineOptions)
    judge: Annotated[JudgeOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=JudgeOptions)
    format: FormatName | None = None
    """The labelled set's format. By default it is recognised by its fields."""
    verdict_column: str | None = None
    """The table's column of verdicts. The default is verdict, winner, preference, prediction, gpt_result or score."""
    human_column: str | None = None
    """The table's column of labels. The default is human, label or gold."""
    id_column: str | None = None
    """The table's column of row ids. The default is pair_id, id, idx or uid."""
    codes: str | None = None
    """The meaning of a table's cells, like 0=a,1=b,2=tie. By default a, b, tie, 1, 2, 0 and more are known."""
    fit: bool = False
    """Learn weights over the rubric's criteria, a temperature and ties from the labels, and write a calibration."""
    folds: Count = 5
    """Folds by prompt in which --fit is measured."""
    limit: Count | None = None
    """Take only N random rows (of ranked answers: N random prompts)."""
    retest: CountOr0 = 0
    """Ask the judge N more times with other seeds, and report how often it agrees with itself (--read text)."""
    likelihood: bool = False
    """Add a baseline that prefers the answer with the higher likelihood under the judge's model (transformers)."""
    attacks: CountOr0 = 0
    """Also test the judge's model with N prompt injection attacks. Needs a rubric that scores."""
    test: Path | None = None
    """Comparisons or a table without labels, whose win rate is corrected for the judge's errors."""
    own_model: str | None = None
    """The judge's model as the set names it, to measure self-preference. The default is --model."""
    resamples: Count = 1000
    """Bootstrap resamples for the intervals."""
    out: OutFolder | None = None
    """The folder for rows and report. The default is runs/audit/<set>-<digest of its path>-<judge fingerprint>."""
