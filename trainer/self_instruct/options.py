"""The settings of making prompts: how the model is asked and what a task must be like."""

from dataclasses import dataclass

from console.errors import InputError

ANY = "any"


@dataclass(frozen=True)
class FewShotOptions:
    """How the model is asked (Self-Rewarding, arXiv 2401.10020)."""

    human: int = 6
    """Seeds shown in each question."""
    generated: int = 2
    """Accepted tasks shown besides; until there are as many, further seeds take their place."""
    tasks: int = 8
    """New tasks asked for in each question."""
    temperature: float = 0.6
    top_p: float = 0.9
    max_new_tokens: int = 768
    """The longest completion; a last task that it cuts off is dropped."""
    completions: int = 16
    """Completions a batch; those of a batch are shown the same pool."""
    patience: int = 20
    """Stop after this many batches in a row without a new prompt."""


@dataclass(frozen=True)
class FilterOptions:
    """What a generated task must be like; the defaults are Self-Instruct's."""

    min_words: int = 4
    """The fewest words of a prompt."""
    max_words: int = 150
    """The most words of a prompt."""
    max_rouge: float = 0.7
    """Drop a task whose ROUGE-L F with a seed, a prompt used before or an accepted one is this or more."""
    language: str = "en"
    """The language of the prompts, an ISO 639-1 code, or any."""


def check_few_shot(options: FewShotOptions, n_seeds: int) -> None:
    """Raise InputError where a setting is out of range or there are too few seeds to show."""
    for name in ("tasks", "max_new_tokens", "completions", "patience"):
        if getattr(options, name) < 1:
            raise InputError(f"--{name.replace('_', '-')} must be at least 1, not {getattr(options, name)}")
    if options.human < 1 or options.generated < 0:
        raise InputError("--human must be at least 1, and --generated at least 0")
    if n_seeds < options.human + options.generated:
        raise InputError(
            f"{n_seeds} seeds of one turn within --max-words, and each question shows {options.human} + "
            f"{options.generated} of them; give more seeds"
        )
