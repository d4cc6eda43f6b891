"""What a verifier is: it holds a claim against a passage."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from judges.retrieval.search.corpus import Passage
from judges.retrieval.search.passages import searchable
from records.rows import Usage

SHOWN_WORDS = 300
"""A passage of a search server can be a whole page; so much of it is read and quoted."""


@dataclass(frozen=True)
class Reading:
    """What a verifier says about one claim and one passage."""

    probabilities: dict[str, float] | None
    """Of supported, refuted and not enough; None where there is an error."""
    mass: float | None = None
    error: str | None = None
    usage: Usage = field(default_factory=Usage)


class Verifier(Protocol):
    """Something that says whether a passage supports a claim."""

    @property
    def digest(self) -> str:
        """Identifies everything that changes its verdicts."""
        ...

    def read(self, pairs: Sequence[tuple[str, Passage]]) -> Iterator[tuple[int, Reading]]:
        """Yield each pair's position and reading, in the order in which they become ready."""
        ...


def shown(passage: Passage) -> str:
    """Return what is read of a passage: its title and at most 300 words of its text."""
    return _shortened(searchable(passage))


def _shortened(text: str) -> str:
    words = text.split()
    return text if len(words) <= SHOWN_WORDS else " ".join(words[:SHOWN_WORDS]) + " …"
