"""The interface of a relation that decides which answers to a prompt mean the same."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from judges.cluster.answer_sets import AnswerSet
from records.keys import content_key
from records.rows import Row, Usage

BoolNN = NDArray[np.bool_]
FloatNN = NDArray[np.float64]


class Relation(Row, frozen=True, kw_only=True):
    """The values for every two answers to a prompt. They cost model calls, so they are stored."""

    id: str
    prompt_id: str
    values: list[list[float | None]]
    """For each ordered pair of the prompt's distinct texts, in their sorted order. None if a call failed.
    Or a single row, if texts are the same or not and nothing between: the number of each text's cluster."""
    n_cut: int = 0
    """Texts longer than the model's input, of which only the beginning was compared."""
    unread: tuple[int, ...] = ()
    """Texts without a readable value, for example without a final answer. Each is equal to no other."""
    error: str | None = None
    usage: Usage = Usage()

    @property
    def clusters(self) -> list[float | None] | None:
        """The number of each text's cluster, or None if there is a value for each pair."""
        return self.values[0] if len(self.values) == 1 else None

    def matrix(self) -> FloatNN:
        """Return the values (N, N). Raises TypeError if one is None."""
        values = np.array(self.values, dtype=np.float64)
        return values if self.clusters is None else (values == values.T).astype(np.float64)


class Equivalence(Protocol):
    """A relation between the answers to a prompt: values for every two of them, and a rule that reads the values."""

    @property
    def name(self) -> str:
        """The kind of relation and its model."""
        ...

    @property
    def digest(self) -> str:
        """Identifies everything that changes the values: the model, the prompt, the algorithm."""
        ...

    @property
    def rule(self) -> str:
        """The reading of the values, in words. It is part of the result's key."""
        ...

    @property
    def greedy(self) -> bool:
        """Whether clusters grow from their first members. Otherwise they are the connected components."""
        ...

    def relate(self, sets: Sequence[AnswerSet], known: Sequence[Relation | None]) -> Iterator[tuple[int, Relation]]:
        """Yield the position and the relation of each of `sets`, which have two texts or more, as they become ready.

        A set whose `known` relation is whole is skipped. If some calls failed, only those are made again.
        Batches are planned from all of `sets`, so that a resumed call computes what an undisturbed one would.
        """
        ...

    def same(self, values_NN: FloatNN) -> BoolNN:
        """Return which texts mean the same (N, N), symmetric."""
        ...

    def similarity(self, values_NN: FloatNN) -> FloatNN:
        """Return the closeness of every two texts (N, N), which gives the most central one."""
        ...


def relation_id(equivalence: Equivalence, answers: AnswerSet) -> str:
    """Return the key of the stored relation between `answers`. It does not depend on the rule."""
    return content_key("relation", equivalence.digest, answers.prompt, answers.texts)


def is_whole(relation: Relation | None) -> bool:
    """Return whether the relation is complete. A failed call is tried again."""
    return relation is not None and relation.error is None
