"""Which answers to a prompt mean the same: what a relation between answers is, and the choice of one."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from judges.cluster.answer_sets import AnswerSet
from records.keys import content_key
from records.rows import Row, Usage

if TYPE_CHECKING:
    pass

BoolNN = NDArray[np.bool_]
FloatNN = NDArray[np.float64]


class Relation(Row, frozen=True, kw_only=True):
    """What was found out about every two answers to a prompt: what is paid for, and so stored."""

    id: str
    prompt_id: str
    values: list[list[float | None]]
    """For each ordered pair of the prompt's distinct texts, in their sorted order; None where a call failed."""
    n_cut: int = 0
    """Texts that were longer than the model reads, so that only their beginnings were compared."""
    unread: tuple[int, ...] = ()
    """Texts that nothing could be read from, for example no final answer; each is equal to no other."""
    error: str | None = None
    usage: Usage = Usage()

    def matrix(self) -> FloatNN:
        """Return the values (N, N); raises TypeError where one is None."""
        return np.array(self.values, dtype=np.float64)


class Equivalence(Protocol):
    """A relation between the answers to a prompt: values for every two of them, and a rule that reads the values."""

    @property
    def name(self) -> str:
        """The kind of relation and its model."""
        ...

    @property
    def digest(self) -> str:
        """Identifies what changes the values: the model, the prompt, the algorithm."""
        ...

    @property
    def rule(self) -> str:
        """How the values are read, in words; also part of the result's key."""
        ...

    @property
    def greedy(self) -> bool:
        """Whether clusters grow from their first members; otherwise they are the connected components."""
        ...

    def relate(self, sets: Sequence[AnswerSet], known: Sequence[Relation | None]) -> Iterator[tuple[int, Relation]]:
        """Yield the position and the relation of each of `sets`, which have two texts or more, as they become ready.

        A set whose `known` relation is whole is left out. One whose calls failed in part is asked for what it lacks.
        Batches are planned from all of `sets`, so that a resumed call computes what an undisturbed one would.
        """
        ...

    def same(self, values_NN: FloatNN) -> BoolNN:
        """Return which two texts mean the same (N, N), symmetric."""
        ...

    def similarity(self, values_NN: FloatNN) -> FloatNN:
        """Return how close each two texts are (N, N), for finding the most central one."""
        ...


def relation_id(equivalence: Equivalence, answers: AnswerSet) -> str:
    """Return the key under which the relation between `answers` is stored; it does not depend on the rule."""
    return content_key("relation", equivalence.digest, answers.prompt, answers.texts)


def is_whole(relation: Relation | None) -> bool:
    """Return whether there is nothing left to find out; a failed call is tried again."""
    return relation is not None and relation.error is None
