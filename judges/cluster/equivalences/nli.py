"""Two answers mean the same if each entails the other, by a model of natural language inference.

Semantic uncertainty (Kuhn et al. 2023, arXiv 2302.09664, section 3.2), as RLP-SPG uses it (arXiv 2403.19279,
section 3.3). A side is 'question answer'.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from console.errors import InputError
from engines.classifier import Classifier, find_classifier, load_classifier
from judges.cluster.answer_sets import AnswerSet
from judges.cluster.equivalence import BoolNN, FloatNN, Relation, is_whole, relation_id
from judges.cluster.equivalences.options import NliRule
from judges.cluster.equivalences.sides import sides
from records.keys import content_key

LABELS = ("contradiction", "neutral", "entailment")
CONTRADICTION, NEUTRAL, ENTAILMENT = range(3)
"""The values of the pair (row, column) as premise and hypothesis."""


@dataclass(frozen=True)
class Nli:
    """Entailment in both directions, under one of three rules."""

    load: Callable[[], Classifier]
    """Called only if there is something to classify."""
    values: tuple[int, ...]
    """The value of each of the classifier's outputs."""
    nli_rule: NliRule
    digest: str
    name: str

    @property
    def rule(self) -> str:
        """The rule's name."""
        return self.nli_rule

    @property
    def greedy(self) -> bool:
        """Whether only the first members of clusters are compared."""
        return self.nli_rule == "greedy"

    def relate(self, sets: Sequence[AnswerSet], known: Sequence[Relation | None]) -> Iterator[tuple[int, Relation]]:
        """Yield the label of every ordered pair of texts of each set. Each set is a batch of its own."""
        for index, answers in enumerate(sets):
            if not is_whole(known[index]):
                yield index, self._relation(answers)

    def same(self, values_NN: FloatNN) -> BoolNN:
        """Return which texts mean the same under the rule."""
        fine_NN: BoolNN = values_NN == ENTAILMENT
        if self.nli_rule == "no-contradiction":
            fine_NN = values_NN != CONTRADICTION
        return fine_NN & fine_NN.T

    def similarity(self, values_NN: FloatNN) -> FloatNN:
        """Return 1 at (i, j) if j entails i. The most central text is entailed by the most others."""
        entails_NN: BoolNN = values_NN == ENTAILMENT
        return entails_NN.T.astype(np.float64)

    def _relation(self, answers: AnswerSet) -> Relation:
        model = self.load()
        # Half for each side, so a question takes at most a quarter in each.
        texts, lengths = sides(model.tokenizer, answers, model.max_tokens // 2)
        n = len(texts)
        pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
        values_NN = np.full((n, n), float(ENTAILMENT))  # the diagonal stays: a text entails itself
        for index, probabilities, _ in model.probabilities([(texts[i], texts[j]) for i, j in pairs]):
            values_NN[pairs[index]] = self.values[int(np.argmax(probabilities))]
        return Relation(
            id=relation_id(self, answers),
            prompt_id=answers.prompt_id,
            values=values_NN.tolist(),
            n_cut=_n_cut(lengths, model.max_tokens),
        )


def open_nli(name: str, rule: NliRule, batch_size: int) -> Nli:
    """Return the relation by the classifier called `name`, a folder or a hub id.

    Raises InputError if it does not exist, or its labels are not entailment, neutral and contradiction.
    """
    checkpoint = find_classifier(name)
    values = values_of(checkpoint.labels, name)
    digest = content_key("nli", "question answer", checkpoint.digest)
    return Nli(cache(lambda: load_classifier(checkpoint, batch_size)), values, rule, digest, f"NLI by {name}")


def values_of(labels: Sequence[str], name: str) -> tuple[int, ...]:
    """Return the value of each label. Raises InputError unless the labels are the three, each once."""
    values = tuple(LABELS.index(label.lower()) for label in labels if label.lower() in LABELS)
    if len(values) < len(labels) or sorted(values) != [CONTRADICTION, NEUTRAL, ENTAILMENT]:
        raise InputError(
            f"the model '{name}' has the labels {', '.join(labels)}; an NLI model must name {', '.join(LABELS)} in its "
            "config's id2label"
        )
    return values


def _n_cut(lengths: Sequence[int], max_tokens: int) -> int:
    """Return the number of sides that are cut in some pair, because they do not fit beside the longest other side."""
    n_cut = 0
    for index, length in enumerate(lengths):
        longest_other = max(other for place, other in enumerate(lengths) if place != index)
        n_cut += length > max_tokens - min(longest_other, max_tokens // 2)
    return n_cut
