"""The interface of a verifier, which checks a claim against a passage."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from judges.tools.search.corpus import Passage
from judges.tools.search.passages import searchable
from records.rows import Usage

SHOWN_WORDS = 300
"""The words of a passage that are read and quoted, because a server's passage can be a whole page."""


@dataclass(frozen=True)
class PassageReading:
    """A verifier's reading of one claim and one passage."""

    probabilities: dict[str, float] | None
    """The probabilities of supported, refuted and not enough, or None with an error."""
    mass: float | None = None
    error: str | None = None
    usage: Usage = field(default_factory=Usage)


class Verifier(Protocol):
    """Decides whether a passage supports a claim."""

    @property
    def digest(self) -> str:
        """Identifies everything that changes its verdicts."""
        ...

    def read(self, pairs: Sequence[tuple[str, Passage]]) -> Iterator[tuple[int, PassageReading]]:
        """Yield each pair's position and reading, in the order in which they become ready."""
        ...


def shown(passage: Passage) -> str:
    """Return the part of a passage that is read: its title and at most 300 words of its text."""
    return _shortened(searchable(passage))


def _shortened(text: str) -> str:
    words = text.split()
    return text if len(words) <= SHOWN_WORDS else " ".join(words[:SHOWN_WORDS]) + " …"
