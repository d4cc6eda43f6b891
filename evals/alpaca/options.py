"""The flags of evals.alpaca."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from console.command import Flags
from console.ranges import Count, NotNegative, ShareAbove0
from console.writing import OutFolder
from engines.options import EngineOptions, SharedEngineOptions
from engines.shards.options import SharedWorkerOptions, WorkerOptions
from evals.comparing.flags import JudgeFlags, SharedJudgeFlags

AlpacaVersion = Literal[2, 1]
BENCHMARK = "alpaca_eval"


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Compare a model's answers with a baseline's, as AlpacaEval does."""

    engine: SharedEngineOptions = field(default_factory=EngineOptions)
    judge: SharedJudgeFlags = field(default_factory=JudgeFlags)
    scale: SharedWorkerOptions = field(default_factory=WorkerOptions)
    prompts: Path | None = None
    """Prompts to answer. The default is those of --reference, or else AlpacaEval's 805."""
    reference: Path | None = None
    """The baseline's answers, in any format that has responses. The default is the hub's."""
    version: AlpacaVersion = 2
    """2 compares with gpt4_1106_preview, 1 with text_davinci_003 (from the hub)."""
    max_new_tokens: Count | None = None
    """The longest answer. The default is the length at which the baseline's were cut off, or else 2048."""
    temperature: NotNegative = 0.7
    """The temperature of the answers. 0 takes the most likely token."""
    top_p: ShareAbove0 = 0.9
    """The nucleus of the answers."""
    limit: Count | None = None
    """Only the first N prompts or annotations."""
    out: OutFolder | None = None
    """The folder of the results. The default is runs/<run>/evals/<model>/alpaca_eval, or
    alpaca_eval-<file>-<digest of its path> with --prompts or --reference."""
    annotations: Path | None = None
    """Score these stored annotations again, with no model. Writes a file only with --out."""
    annotator: str | None = None
    """An annotator of the alpaca-eval package (weighted_alpaca_eval_gpt4_turbo), or the folder of another one, to ask
    in place of this project's judge. With --annotations: the annotator to score, if there are several."""
    difficulty_from: tuple[Path, ...] = ()
    """Annotations of two or more other models by the same judge against the same baseline, a file each. They give the
    difficulty of each prompt, for a second win rate at equal lengths."""
    df_gamed: Path | None = None
    """The hub's df_gamed.csv, for AlpacaEval's own length-controlled win rate. The default lies beside the
    annotations."""
    instruction_difficulty: Path | None = None
    """The hub's instruction_difficulty.csv, to check df_gamed.csv against."""
