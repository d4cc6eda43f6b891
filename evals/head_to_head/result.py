"""All that a head-to-head found, as plain data."""

from dataclasses import dataclass

from evals.head_to_head.measures.figures import Measured
from evals.head_to_head.measures.ratings import Ratings
from evals.head_to_head.questions import Questions


@dataclass(frozen=True)
class Entrant:
    """A compared model and its answers in figures."""

    name: str
    source: str
    """The model, or the file of its answers."""
    answers: int
    mean_chars: float | None
    empty: int
    cut_off: int


@dataclass(frozen=True)
class Result:
    """All that a head-to-head found."""

    entrants: list[Entrant]
    matches: list[Measured]
    ratings: Ratings | None
    """None for two models, whose win rate says it all."""
    questions: Questions
    warnings: list[str]


def title_of(measured: Measured) -> str:
    """Return the name of a match."""
    return f"{measured.first} against {measured.second}"
