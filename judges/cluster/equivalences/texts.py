"""Relations that need no model: the same final answer, or the same words."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from math_verify import verify

from judges.cluster.answer_sets import AnswerSet
from judges.cluster.equivalence import BoolNN, FloatNN, Relation, is_whole, relation_id
from judges.cluster.equivalences.final_numbers import final_answer_of, same_values

ARTICLES = re.compile(r"\b(a|an|the)\b")
NUMBER_MARK = re.compile(r"(?<=\d)\.(?=\d)|(?<!\w)-(?=\.?\d)")
"""A decimal point or a sign. Without them, 3.5 would be 35 and -5 would be 5."""


@dataclass(frozen=True)
class SameText:
    """A relation of the texts alone: 1 for the same and 0 otherwise."""

    name: str
    digest: str
    compare: Callable[[list[str]], tuple[FloatNN, tuple[int, ...]]]
    """Maps texts to values as in `Relation` and the places of texts without a readable value."""
    rule: str = "equal"
    greedy: bool = False

    def relate(self, sets: Sequence[AnswerSet], known: Sequence[Relation | None]) -> Iterator[tuple[int, Relation]]:
        """Yield which texts of each set are the same."""
        for index, answers in enumerate(sets):
            if not is_whole(known[index]):
                values, unread = self.compare(answers.texts)
                yield (
                    index,
                    Relation(
                        id=relation_id(self, answers),
                        prompt_id=answers.prompt_id,
                        values=values.tolist(),
                        unread=unread,
                    ),
                )

    def same(self, values_NN: FloatNN) -> BoolNN:
        """Return which texts are the same."""
        same_NN: BoolNN = values_NN == 1
        return same_NN

    def similarity(self, values_NN: FloatNN) -> FloatNN:
        """Return 1 for the same and 0 otherwise."""
        return values_NN


def exact() -> SameText:
    """Return the relation of the same words after normalisation (SQuAD, arXiv 1606.05250, its evaluation script)."""

    def compare(texts: list[str]) -> tuple[FloatNN, tuple[int, ...]]:
        numbers: dict[str, int] = {}
        return np.array([[float(numbers.setdefault(normalised(text), len(numbers))) for text in texts]]), ()

    return SameText("normalised text", "exact-1", compare)  # the number is raised when normalised() changes


def final_answer() -> SameText:
    """Return the relation of the same final number or expression by math-verify. A text without one equals no other."""

    def compare(texts: list[str]) -> tuple[FloatNN, tuple[int, ...]]:
        parsed = [final_answer_of(text) for text in texts]
        numbers = np.array([same_values(parsed, same_final_answer)], dtype=np.float64)
        return numbers, tuple(place for place, answer in enumerate(parsed) if not answer.value)

    # the version, because updates change what parses
    return SameText("final answer by math-verify", f"final-answer-2-{version('math-verify')}", compare)


def same_final_answer(first: list[Any], second: list[Any]) -> bool:
    """Return whether two answers that math-verify parsed are the same. An empty answer equals no other.

    `verify` treats its first argument as the gold answer and may accept only one order, for example of an interval and
    an inequality, so either order counts.
    """
    return bool(first) and bool(second) and (verify(first, second) or verify(second, first))


def normalised(text: str) -> str:
    """Return `text` without case, articles, punctuation and repeated spaces. Signs and decimal points of numbers stay.

    A step that would leave nothing is skipped, because the answer to a multiple-choice question may be A.
    """
    plain = unicodedata.normalize("NFKC", text).casefold().replace("\N{MINUS SIGN}", "-")
    marks = {match.start() for match in NUMBER_MARK.finditer(plain)}
    marked = "".join(c if place in marks or not _is_punctuation(c) else "" for place, c in enumerate(plain))
    for rest in (ARTICLES.sub(" ", marked), marked, plain):
        if words := rest.split():
            return " ".join(words)
    return text


def _is_punctuation(character: str) -> bool:
    return character in "$+<=>^`|~" or unicodedata.category(character).startswith("P")
