"""The settings of making prompts: the files, the few-shot question and the filters."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from console.command import Flags, Given
from console.errors import InputError
from console.ranges import Count, CountOr0, NotNegative, ShareAbove0, check_ranges
from console.writing import OutRows
from engines.options import EngineOptions, SharedEngineOptions

ANY = "any"


@dataclass(frozen=True)
class FewShotOptions:
    """The few-shot question (Self-Rewarding, arXiv 2401.10020)."""

    human: Count = 6
    """Seeds shown in each question."""
    generated: CountOr0 = 2
    """Accepted tasks shown beside the seeds. Further seeds take their place until there are enough."""
    tasks: Count = 8
    """New tasks asked for in each question."""
    temperature: NotNegative = 0.6
    top_p: ShareAbove0 = 0.9
    max_new_tokens: Count = 768
    """The longest completion. If it cuts off the last task, that task is dropped."""
    completions: Count = 16
    """Completions per batch. All completions of a batch see the same pool."""
    patience: Count = 20
    """Stop after this many batches in a row without a new prompt."""


@dataclass(frozen=True)
class FilterOptions:
    """The limits for a generated task. The defaults are Self-Instruct's."""

    min_words: Count = 4
    """The fewest words of a prompt."""
    max_words: Count = 150
    """The most words of a prompt."""
    max_rouge: ShareAbove0 = 0.7
    """Drop a task whose ROUGE-L F with a seed, a used prompt or an accepted task is this or more."""
    language: str = "en"
    """The language of the prompts, an ISO 639-1 code, or any."""


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Make new prompts from seeds."""

    file: Given = None
    """Prompts that people wrote. The default is the packaged seeds."""
    engine: SharedEngineOptions = field(default_factory=EngineOptions)
    n: Count = 1000
    """New prompts to make."""
    few_shot: Annotated[FewShotOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=FewShotOptions)
    filters: Annotated[FilterOptions, tyro.conf.OmitArgPrefixes] = field(default_factory=FilterOptions)
    exclude: tuple[str, ...] = ()
    """Files of prompts used in earlier rounds. Those of the run that --run or --model iterN names are added."""
    against: tuple[str, ...] = ()
    """Files of evaluation prompts that no new prompt may resemble. The run's held-out prompts are added."""
    refilter: bool = False
    """Ask no model, but filter the completions of an earlier run with these settings."""
    out: OutRows = Path("runs/prompts/prompts.jsonl")
    """Where the prompts go, with .completions.jsonl and .report.json beside them."""


def check_few_shot(options: FewShotOptions, n_seeds: int) -> None:
    """Raise InputError if a setting is out of range or there are too few seeds to show."""
    check_ranges(options)
    if n_seeds < options.human + options.generated:
        raise InputError(
            f"{n_seeds} seeds of one turn within --max-words, and each question shows {options.human} + "
            f"{options.generated} of them; give more seeds"
        )
