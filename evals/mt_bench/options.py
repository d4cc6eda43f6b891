"""The flags of evals.mt_bench. The judge's begin with --judge-, to tell them from the evaluated model's."""

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

Bench = Literal["mt_bench", "vicuna_bench"]
Mode = Literal["single", "pair"]


@dataclass(frozen=True)
class BenchJudge(JudgeFlags):
    """The judge of the answers, and its settings."""

    judge_rubric: str = ""
    """A rubric for all questions and turns, or the path of a .toml file. The default are four rubrics for each mode:
    with and without a reference answer, for the first and the second turn."""
    judge_read: Reading = "text"
    """text: one parsed reply. logprobs: the expected score, or the likelier answer, one prefill per verdict."""
    judge_max_new_tokens: Count = 2048
    """The judge's longest reply (text)."""
    judge_temperature: NotNegative = 0.0
    """The temperature of the judge's replies (text)."""


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Score a model's answers with MT-Bench, or compare them with a baseline's."""

    engine: SharedEngineOptions = field(default_factory=EngineOptions)
    judge: Annotated[BenchJudge, tyro.conf.OmitArgPrefixes] = field(default_factory=BenchJudge)
    scale: SharedWorkerOptions = field(default_factory=WorkerOptions)
    bench: Bench = "mt_bench"
    """mt_bench: 80 questions with two turns. vicuna_bench: 80 with one."""
    mode: Mode = "single"
    """single: a score from 1 to 10 for each answer. pair: two games against --baseline, the sides exchanged."""
    data: Path | None = None
    """A data folder of FastChat's llm_judge, with question.jsonl and reference_answer/."""
    questions: Path | None = None
    """The questions. The default is question.jsonl in --data."""
    references: Path | None = None
    """The reference answers to questions on maths, coding and reasoning. The default is the only file of
    reference_answer/ in --data."""
    baseline: Path | None = None
    """The file of the baseline's answers (pair)."""
    answers: Path | None = None
    """A file of a model's answers, which is judged instead of --model."""
    judgments: tyro.conf.UseAppendAction[tuple[Path, ...]] = ()
    """Score these stored judgments of one judge, with no model. Repeat the flag for more files. Categories need the
    questions. Writes a file only with --out."""
    max_new_tokens: Count = 1024
    """The longest answer to a turn."""
    temperature: NotNegative | None = None
    """The temperature of the answers. The default is FastChat's by category: 0.7 for writing and roleplay, 0.1 for STEM
    and humanities, 0 for extraction, maths, coding and reasoning, and else 0.7."""
    top_p: ShareAbove0 = 1.0
    """The nucleus of the answers."""
    limit: Count | None = None
    """Only the first N questions."""
    resamples: Count = 1000
    """Bootstrap resamples of the questions for the 95% intervals."""
    out: OutFolder | None = None
    """The folder of the results. The default is runs/<run>/evals/<model>/<bench>, with the name and digest of
    --questions if they are given."""
