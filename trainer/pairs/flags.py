"""Flags of the command that makes pairs."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from console.command import Flags, Given
from console.ranges import Count, Number, Share
from console.writing import OutRows
from trainer.pairs.options import PairOptions

OUT = Path("runs/pairs/pairs.jsonl")


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Make preference pairs from judged answers."""

    file: Given = None
    """Judgments to make pairs from."""
    out: OutRows = OUT
    """The file of pairs or chats. An earlier file is set aside."""
    rejected_from: Path | None = None
    """Judgments of another model's answers to the same prompts: choose from FILE and reject from these."""
    limit: Count | None = None
    """Only the first N prompts of FILE, with all their answers."""
    positive_only: bool = False
    """Write a chat for each answer with a perfect score instead of pairs."""
    positive_score: Number | None = None
    """The lowest score that counts as perfect. The default is the rubric's highest."""
    pairs: Annotated[PairOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=PairOptions)
    min_coverage: Share = 0.9
    """Fail, with the pairs written, if --second-judge scores fewer than this share of the answers that are scored."""
