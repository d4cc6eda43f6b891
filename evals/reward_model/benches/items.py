"""Items of a judge benchmark, and what a judge said about each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from records import Message

BenchName = Literal["RewardBench", "RewardBench 2", "JudgeBench", "LLMBar", "RM-Bench", "PPE"]
TIES = "Ties"
"""The subset of RewardBench 2 whose prompts have several right answers."""


@dataclass(frozen=True)
class Item:
    """A prompt with right and wrong answers: two of them, or more in RewardBench 2."""

    id: str
    subset: str
    group: str
    """Items of one group share a prompt. They are resampled together."""
    prompt: str | list[Message]
    answers: tuple[str, ...]
    """The right ones first."""
    n_right: int = 1
    level: str = ""
    """RM-Bench's hard, normal or easy."""


@dataclass(frozen=True)
class Bench:
    """A judge benchmark, or the part of it that the files have."""

    name: BenchName
    items: Sequence[Item]
    n_ties: int = 0
    """Pairs that people call a tie, which no benchmark counts."""

    @property
    def has_pairs(self) -> bool:
        """Whether each item has two answers, which a judge can compare."""
        return all(len(item.answers) == 2 for item in self.items)


@dataclass(frozen=True)
class Outcome:
    """A judge's verdict on an item: a score for each answer, or games between the right answer and the wrong one."""

    scores: tuple[float | None, ...] = ()
    games: tuple[float | None, ...] = ()
    """1 if the right answer won, 0 if the wrong one, 0.5 for a tie, None without a verdict: one for each order of the
    answers, or a single one for a panel."""

    @property
    def failed(self) -> bool:
        """Whether a part of the verdict is missing."""
        return None in (self.scores or self.games)

    @property
    def tied(self) -> bool:
        """Whether the verdict is there and names no best answer: equal best scores, or games that disagree."""
        known = [value for value in self.scores or self.games if value is not None]
        if self.failed:
            return False
        return known.count(max(known)) > 1 if self.scores else set(known) not in ({0.0}, {1.0})
