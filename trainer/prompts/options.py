"""The settings of making prompts: how the model is asked and what a task must be like."""

from dataclasses import dataclass

from console.errors import InputError
from console.ranges import Count, CountOr0, NotNegative, ShareAbove0, check_ranges

ANY = "any"


@dataclass(frozen=True)
class FewShotOptions:
    """How the model is asked (Self-Rewarding, arXiv 2401.10020)."""

    human: Count = 6
    """Seeds shown in each question."""
    generated: CountOr0 = 2
    """Accepted tasks shown besides; until there are as many, further seeds take their place."""
    tasks: Count = 8
    """New tasks asked for in each question."""
    temperature: NotNegative = 0.6
    top_p: ShareAbove0 = 0.9
    max_new_tokens: Count = 768
    """The longest completion; a last task that it cuts off is dropped."""
    completions: Count = 16
    """Completions a batch; those of a batch are shown the same pool."""
    patience: Count = 20
    """Stop after this many batches in a row without a new prompt."""


@dataclass(frozen=True)
class FilterOptions:
    """What a generated task must be like; the defaults are Self-Instruct's."""

    min_words: Count = 4
    """The fewest words of a prompt."""
    max_words: Count = 150
    """The most words of a prompt."""
    max_rouge: ShareAbove0 = 0.7
    """Drop a task whose ROUGE-L F with a seed, a prompt used before or an accepted one is this or more."""
    language: str = "en"
    """The language of the prompts, an ISO 639-1 code, or any."""


def check_few_shot(options: FewShotOptions, n_seeds: int) -> None:
    """Raise InputError where a setting is out of range or there are too few seeds to show."""
    check_ranges(options)
    if n_seeds < options.human + options.generated:
        raise InputError(
            f"{n_seeds} seeds of one turn within --max-words, and each question shows {options.human} + "
            f"{options.generated} of them; give more seeds"
        )
