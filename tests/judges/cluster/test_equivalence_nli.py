from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from console.errors import InputError
from engines.classifier import Classifier
from engines.options import EngineOptions
from judges.cluster.clusters import components, greedy
from judges.cluster.equivalences.choice import open_equivalence
from judges.cluster.equivalences.nli import CONTRADICTION, ENTAILMENT, NEUTRAL, Nli, open_nli
from judges.cluster.equivalences.options import EquivalenceOptions
from tests.judges.cluster.relations import answer_set, nli, related
from tests.judges.cluster.tiny_classifier import MNLI, save_tiny_classifier

C, N, E = float(CONTRADICTION), float(NEUTRAL), float(ENTAILMENT)


def test_the_three_rules_on_one_matrix() -> None:
    # a and b entail each other; c entails b but not the other way; d contradicts a in one direction
    values_NN = np.array([[E, E, N, N], [E, E, N, E], [N, E, E, N], [C, E, N, E]])
    strict, lenient = nli("strict").same(values_NN), nli("no-contradiction").same(values_NN)
    assert components(strict) == [[0, 1, 3], [2]]  # b and d entail each other
    assert not lenient[0, 3] and lenient[0, 2] and components(lenient) == [[0, 1, 2, 3]]
    assert nli("greedy").greedy and greedy(nli("greedy").same(values_NN)) == [[0, 1], [2], [3]]  # d only meets a and c
    assert not nli("strict").greedy and (strict == strict.T).all() and (lenient == lenient.T).all()


def test_two_neutral_answers_are_merged_by_the_lenient_rule_only() -> None:
    values_NN = np.array([[E, N], [N, E]])
    assert len(components(nli("no-contradiction").same(values_NN))) == 1
    assert len(components(nli("strict").same(values_NN))) == 2


def test_the_most_central_text_is_the_one_that_others_entail() -> None:
    values_NN = np.array([[E, E, N], [N, E, N], [N, E, E]])  # 0 and 2 entail 1
    assert nli("strict").similarity(values_NN).sum(axis=1).tolist() == [1, 3, 1]


@pytest.fixture(scope="module")
def classifiers(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Sequence[str]], Path]:
    return lambda labels: save_tiny_classifier(tmp_path_factory.mktemp("nli"), labels)


def test_every_ordered_pair_has_the_label_that_the_model_gives_it_alone(
    classifiers: Callable[[Sequence[str]], Path],
) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = classifiers(MNLI)
    answers = answer_set("ab", "cd e", "fgh", "xyzzy", "m", prompt="who?")
    relation = related(open_nli(str(folder), "strict", batch_size=3), answers)
    model, tokenizer = AutoModelForSequenceClassification.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    labels = set()
    for i, premise in enumerate(answers.texts):
        for j, hypothesis in enumerate(answers.texts):
            inputs = tokenizer(f"who? {premise}", f"who? {hypothesis}", return_tensors="pt")
            with torch.inference_mode():
                label = int(model(**inputs).logits.argmax())
            assert relation.values[i][j] == (label if i != j else ENTAILMENT)
            labels.add(label)
    assert len(labels) > 1 and relation.n_cut == 0


def test_labels_are_read_by_name_whatever_their_order(classifiers: Callable[[Sequence[str]], Path]) -> None:
    answers = answer_set("ab", "cd e", "fgh", "xyzzy")
    plain = related(open_nli(str(classifiers(MNLI)), "strict", 8), answers).matrix()
    turned = related(
        open_nli(str(classifiers(("entailment", "neutral", "contradiction"))), "strict", 8), answers
    ).matrix()
    off_diagonal = ~np.eye(4, dtype=bool)
    assert (turned[off_diagonal] == 2 - plain[off_diagonal]).all() and len(set(plain[off_diagonal])) > 1


@pytest.mark.parametrize("labels", [("LABEL_0", "LABEL_1", "LABEL_2"), ("entailment", "not_entailment")])
def test_a_model_whose_labels_do_not_say_what_they_mean_is_refused(
    classifiers: Callable[[Sequence[str]], Path], labels: tuple[str, ...]
) -> None:
    with pytest.raises(InputError, match=f"has the labels {', '.join(labels)}; an NLI model must name"):
        open_nli(str(classifiers(labels)), "strict", 8)


def value(found: Nli, premise: str, hypothesis: str) -> int:
    """What the classifier says of a pair that it can read whole."""
    model = found.load()
    assert len(model.tokenizer(premise + hypothesis, add_special_tokens=False)["input_ids"]) <= model.max_tokens
    [(_, probabilities, _)] = model.probabilities([(premise, hypothesis)])
    return found.values[probabilities.index(max(probabilities))]


def test_long_answers_are_cut_alike_on_both_sides_and_counted(classifiers: Callable[[Sequence[str]], Path]) -> None:
    found = open_nli(str(classifiers(MNLI)), "strict", 8)
    assert found.load().max_tokens == 29  # 32 positions less [CLS] a [SEP] b [SEP]
    long, short = "a" * 40, "bc"
    relation = related(found, answer_set(long, short, prompt="q"))
    cut = "a" * (29 - 1 - 3)  # the short side needs q, b, c; the long one q and the rest
    assert relation.values[0][1] == value(found, f"q {cut}", "q bc")
    assert relation.n_cut == 1
    both = related(found, answer_set("a" * 40, "c" * 40, prompt="q"))
    assert both.values[0][1] in (  # 29 tokens for two: one side has one more
        value(found, "q " + "a" * 13, "q " + "c" * 14),
        value(found, "q " + "a" * 14, "q " + "c" * 13),
    )
    assert both.n_cut == 2


@dataclass(frozen=True)
class Spy(Classifier):
    """Keeps what it is asked."""

    asked: list[tuple[str, str]] = field(default_factory=list)

    def probabilities(self, pairs: Sequence[tuple[str, str]]) -> Iterator[tuple[int, list[float], int]]:
        self.asked.extend(pairs)
        return super().probabilities(pairs)


def test_a_question_over_the_limit_does_not_push_the_answers_out(
    classifiers: Callable[[Sequence[str]], Path],
) -> None:
    found = open_nli(str(classifiers(MNLI)), "strict", 8)
    spy = Spy(**vars(found.load()))
    related(replace(found, load=lambda: spy), answer_set("ab", "cd", prompt="q" * 100))
    assert spy.asked == [("qqqqqqq ab", "qqqqqqq cd"), ("qqqqqqq cd", "qqqqqqq ab")]  # 14 tokens a side, half of them


def test_a_model_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match="no NLI model 'no/such-model'"):
        open_equivalence(EquivalenceOptions(equivalence="nli", nli_model="no/such-model"), EngineOptions())
