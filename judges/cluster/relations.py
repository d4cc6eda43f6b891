"""Storage of relations: each is stored once and read back by its place in the file."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

import msgspec

from console.reading import lines_up_to
from judges.cluster.answer_sets import AnswerSet
from judges.cluster.equivalence import Equivalence, Relation, is_whole, relation_id
from records import Store

CHUNK = 64
"""Prompts whose relations are computed together."""
Related = tuple[AnswerSet, Relation | None]
"""A prompt's answers, with their relation if they have two texts or more."""


class RelationFile:
    """A store of relations that keeps only their places in the file in memory."""

    def __init__(self, path: Path, *, fresh: bool = False) -> None:
        """Open `path`. With `fresh`, an earlier file is set aside."""
        self.store = Store(path, Relation, keep=is_whole, fresh=fresh)
        self._decoder = msgspec.json.Decoder(Relation)
        self._places: dict[str, int] = {}
        place = 0
        with path.open("rb") as file:
            for line in lines_up_to(file, path):
                self._places[self._decoder.decode(line).id] = place
                place += len(line)
        self._file = path.open("rb")

    def __enter__(self) -> "RelationFile":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
        self.store.__exit__(*error)

    def find(self, row_id: str) -> Relation | None:
        """Return the last relation with this id, failed or not."""
        if row_id not in self._places:
            return None
        self._file.seek(self._places[row_id])
        return self._decoder.decode(self._file.readline())

    def append(self, relation: Relation) -> None:
        """Store one more relation."""
        self._places[relation.id] = self.store.path.stat().st_size
        self.store.append(relation)


def related(
    sets: Iterable[AnswerSet], equivalence: Equivalence, file: RelationFile, advance: Callable[[int], None]
) -> Iterator[Related]:
    """Yield each of `sets` with its relation, in order, computing and storing those that `file` lacks."""
    remaining = iter(sets)
    while chunk := list(islice(remaining, CHUNK)):
        relations = _complete([answers for answers in chunk if len(answers.members) > 1], equivalence, file, advance)
        for answers in chunk:
            if len(answers.members) > 1:
                yield answers, next(relations)
            else:
                advance(1)
                yield answers, None


def _complete(
    sets: list[AnswerSet], equivalence: Equivalence, file: RelationFile, advance: Callable[[int], None]
) -> Iterator[Relation]:
    known = [file.find(relation_id(equivalence, answers)) for answers in sets]
    advance(sum(map(is_whole, known)))
    for index, relation in equivalence.relate(sets, known):
        file.append(relation)
        known[index] = relation
        advance(1)
    return (relation for relation in known if relation is not None)
