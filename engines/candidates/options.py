"""The flags of python -m engines.candidates."""

from dataclasses import dataclass, field

from console.command import Flags, Given
from console.ranges import Count, NotNegative, ShareAbove0
from console.writing import OutRows
from engines.options import EngineOptions, SharedEngineOptions
from engines.shards.options import ScaleOptions, SharedScaleOptions


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Let a model answer prompts."""

    file: Given = None
    """The prompts."""
    engine: SharedEngineOptions = field(default_factory=EngineOptions)
    scale: SharedScaleOptions = field(default_factory=ScaleOptions)
    n: Count = 4
    """Answers to each prompt."""
    max_new_tokens: Count = 1024
    """Maximum length of an answer in tokens."""
    temperature: NotNegative = 0.7
    """0 takes the most likely token, so all answers to a prompt are the same."""
    top_p: ShareAbove0 = 0.9
    limit: Count | None = None
    """Answer only the first N prompts."""
    out: OutRows | None = None
    """The output file. The default is runs/answers/<file>-<digest of its path>-<digest of model and settings>.jsonl."""
