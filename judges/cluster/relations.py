"""Storage of relations: each is computed once, stored and read back."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

from judges.cluster.answer_sets import AnswerSet
from judges.cluster.equivalence import Equivalence, Relation, is_whole, relation_id
from records import Store

CHUNK = 64
"""Prompts whose relations are computed together."""
Related = tuple[AnswerSet, Relation | None]
"""A prompt's answers, with their relation if they have two texts or more."""


def open_relations(path: Path, *, fresh: bool = False) -> Store[Relation]:
    """Return the store of relations at `path`. With `fresh`, an earlier file is set aside."""
    return Store(path, Relation, keep=is_whole, fresh=fresh)


def related(
    sets: Iterable[AnswerSet], equivalence: Equivalence, store: Store[Relation], advance: Callable[[int], None]
) -> Iterator[Related]:
    """Yield each of `sets` with its relation, in order, computing and storing those that `store` lacks."""
    remaining = iter(sets)
    while chunk := list(islice(remaining, CHUNK)):
        relations = _complete([answers for answers in chunk if len(answers.members) > 1], equivalence, store, advance)
        for answers in chunk:
            if len(answers.members) > 1:
                yield answers, next(relations)
            else:
                advance(1)
                yield answers, None


def _complete(
    sets: list[AnswerSet], equivalence: Equivalence, store: Store[Relation], advance: Callable[[int], None]
) -> Iterator[Relation]:
    ids = [relation_id(equivalence, answers) for answers in sets]
    known = [next(store.chosen([row_id]), None) for row_id in ids]  # whole or not
    advance(sum(map(is_whole, known)))
    for index, relation in equivalence.relate(sets, known):
        store.append(relation)
        known[index] = relation
        advance(1)
    return (relation for relation in known if relation is not None)
