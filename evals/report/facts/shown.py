"""A pair as a report shows it."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Side:
    """One of two answers."""

    title: str
    text: str
    score: float | None = None
    found: list[str] = field(default_factory=list)
    """What tools found of it, a line each."""
    words: list[str] = field(default_factory=list)
    """The judge's words about it."""


@dataclass(frozen=True)
class ShownPair:
    """Two answers to a prompt and what the judge said of them."""

    source: str
    """Where the pair is from: `iter2` for one that iter2 was made from."""
    prompt_id: str
    prompt: str
    left: Side
    right: Side
    why: str
    """Why it is shown."""
    words: list[str] = field(default_factory=list)
    """The judge's words about both."""

    @property
    def key(self) -> tuple[str, str, str]:
        """Return what tells the pair from others."""
        return self.prompt, self.left.text, self.right.text
