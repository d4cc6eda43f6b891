"""The flags of evals.arena_hard. The judge's begin with --judge-, to tell them from the evaluated model's."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from console.command import Flags
from console.ranges import Count, NotNegative, ShareAbove0
from console.writing import OutFolder
from engines.options import EngineOptions, SharedEngineOptions
from engines.shards.options import SharedWorkerOptions, WorkerOptions
from evals.comparing.flags import JudgeFlags
from judges.options import Reading

BENCHMARK = "arena_hard"
Version = Literal["v2.0", "v0.1"]
Style = Literal["length", "headers", "lists", "bold"]
Unit = Literal["auto", "tokens", "characters"]


@dataclass(frozen=True)
class ArenaJudge(JudgeFlags):
    """The judge of the games, and its settings."""

    judge_rubric: str = ""
    """A rubric with five verdicts, or the path of a .toml file, for all categories. The default is arena_hard, and
    arena_hard_creative for creative_writing."""
    judge_read: Reading = "text"
    """text: one parsed reply per game. logprobs: the likeliest of the five verdicts, one prefill per game."""
    judge_max_new_tokens: Count = 4096
    """The judge's longest reply (text). Arena-Hard v2.0 itself allows 16000, v0.1 allows 4096."""
    judge_temperature: NotNegative = 0.0
    """The temperature of the judge's replies (text)."""


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Compare a model's answers with the baselines', as Arena-Hard does."""

    engine: SharedEngineOptions = field(default_factory=EngineOptions)
    judge: Annotated[ArenaJudge, tyro.conf.OmitArgPrefixes] = field(default_factory=ArenaJudge)
    scale: SharedWorkerOptions = field(default_factory=WorkerOptions)
    version: Version = "v2.0"
    """The questions' version: it fixes the categories and their baselines."""
    data: Path | None = None
    """A data folder of arena-hard-auto, such as data/arena-hard-v2.0, with question.jsonl and model_answer/."""
    questions: Path | None = None
    """The questions. The default is question.jsonl in --data."""
    baseline: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A file of a baseline's answers, or CATEGORY=FILE for one category. Repeat the flag for more. The default is
    model_answer/<the category's baseline>.jsonl in --data."""
    answers: tyro.conf.UseAppendAction[tuple[Path, ...]] = ()
    """A file of a model's answers, which is judged instead of --model. With --judgments: the answers of the models and
    baselines, for style control, as files or folders. The default is model_answer/ beside the judgments."""
    judgments: tyro.conf.UseAppendAction[tuple[Path, ...]] = ()
    """Score these stored judgments of one judge, a file or a folder, with no model. Repeat the flag for more files, or
    for another judge whose verdicts count too. Writes a file only with --out."""
    style: tyro.conf.UseAppendAction[tuple[Style, ...]] = ()
    """A style feature to control for. Repeat the flag for more. The default is all four."""
    style_length: Unit = "auto"
    """The unit of the length. tokens: those of gpt-4o, as arena-hard-auto has them. auto: tokens if the answers' files
    or tiktoken's cache give them, or else characters, for all answers alike."""
    max_new_tokens: Count = 4096
    """The longest answer."""
    temperature: NotNegative = 0.0
    """The temperature of the answers. 0 takes the most likely token."""
    top_p: ShareAbove0 = 1.0
    """The nucleus of the answers."""
    limit: Count | None = None
    """Only the first N questions."""
    resamples: Count = 1000
    """Bootstrap resamples of the prompts for the 95% intervals."""
    out: OutFolder | None = None
    """The folder of the results. The default is runs/<run>/evals/<model>/arena_hard-<version>, with the names and
    digests of --questions and --baseline if they are given."""
