"""Flags of the clustering."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from console.command import Flags, Given
from console.ranges import Count, Share
from console.writing import OutRows
from engines.options import EngineOptions, SharedEngineOptions
from judges.cluster.equivalences.options import EquivalenceOptions

OUT = Path("runs/clusters")


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Cluster the answers to each prompt by meaning."""

    file: Given = None
    """Answers, several per prompt. The default is the newest run's judgments."""
    relation: Annotated[EquivalenceOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=EquivalenceOptions)
    engine: SharedEngineOptions = field(default_factory=EngineOptions)
    gamma: Share = 0.5
    """Make a pair only if the largest cluster has at least this share of the answers."""
    choose: Literal["auto", "reward", "central"] = "auto"
    """Chosen from the largest cluster: the answer with the highest reward or the most central one. auto takes the
    reward if FILE or --rewards has scores."""
    rewards: Path | None = None
    """Judgments of the same responses, if FILE has no scores."""
    min_coverage: Share = 0.9
    """Fail if a smaller share of the prompts can be clustered. All results are kept."""
    limit: Count | None = None
    """Take only the first N prompts."""
    out: OutRows | None = None
    """The file of clusters, with .pairs.jsonl and .relations.jsonl beside it. The default is
    runs/clusters/<file>-<digest of its path>-<key of the settings>.jsonl."""
