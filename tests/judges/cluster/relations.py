"""What the tests of the equivalences share: answers to a prompt, and what a relation makes of them."""

from typing import Any

import pytest

from judges.cluster.answer_sets import AnswerSet, Member
from judges.cluster.clusters import components
from judges.cluster.equivalence import Equivalence, Relation
from judges.cluster.equivalences.nli import CONTRADICTION, ENTAILMENT, NEUTRAL, Nli


def answer_set(*texts: str, prompt: str = "Q") -> AnswerSet:
    return AnswerSet("p", prompt, tuple(Member(text, [text]) for text in sorted(texts)))


def related(equivalence: Equivalence, answers: AnswerSet, known: Relation | None = None) -> Relation:
    [(index, relation)] = equivalence.relate([answers], [known])
    assert index == 0
    return relation


def clusters(equivalence: Equivalence, answers: AnswerSet) -> list[set[str]]:
    same_NN = equivalence.same(related(equivalence, answers).matrix())
    return [{answers.texts[place] for place in cluster} for cluster in components(same_NN)]


def nli(rule: Any) -> Nli:
    values = (CONTRADICTION, NEUTRAL, ENTAILMENT)
    return Nli(lambda: pytest.fail("nothing is to be classified"), values, rule, "digest", "fake")
