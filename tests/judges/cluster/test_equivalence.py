import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from console.errors import InputError
from engines.options import EngineOptions
from judges.cluster.equivalence import relation_id
from judges.cluster.equivalences.choice import open_equivalence
from judges.cluster.equivalences.embedding import Embedding, Encoder, cosines
from judges.cluster.equivalences.options import EquivalenceOptions
from judges.cluster.equivalences.texts import exact, final_answer, normalised
from tests.judges.cluster.relations import answer_set, clusters, nli, related

# exact


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Answer!", "answer"),
        ("an apple, a pear and the plum.", "apple pear and plum"),
        ("Ｆｕｌｌ　ｗｉｄｔｈ", "full width"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("“quoted” – dashed", "quoted dashed"),
        ("1,000", "1000"),
        ("3.5", "3.5"),
        ("It is 3.5.", "it is 3.5"),
        ("-5", "-5"),
        ("−5", "-5"),
        ("2-5", "25"),
        ("!!!", "!!!"),
        ("The", "the"),
        ("(A)", "a"),
    ],
)
def test_normalisation_is_squads_but_keeps_what_makes_a_number(text: str, expected: str) -> None:
    assert normalised(text) == expected


def test_exact_merges_what_normalises_alike() -> None:
    found = clusters(exact(), answer_set("The cat.", "a CAT", "dog", "3.5", "35", "...", "!!!"))
    assert {"The cat.", "a CAT"} in found and len(found) == 6


# final answer


def test_final_answers_are_compared_as_numbers_and_expressions() -> None:
    answers = answer_set(
        "So the answer is 1,234.",
        "First 17, then $\\boxed{1234}$",
        "It is \\boxed{\\frac{1}{2}}.",
        "half, that is 0.5",
        "I do not know.",
        "No idea.",
    )
    found = clusters(final_answer(), answers)
    assert {"So the answer is 1,234.", "First 17, then $\\boxed{1234}$"} in found
    assert {"It is \\boxed{\\frac{1}{2}}.", "half, that is 0.5"} in found
    assert {"I do not know."} in found and {"No idea."} in found and len(found) == 4
    unread = related(final_answer(), answers).unread
    assert [answers.texts[place] for place in unread] == ["I do not know.", "No idea."]


def test_a_comparison_that_math_verify_makes_in_one_order_only_counts() -> None:
    from math_verify import parse, verify

    interval, inequality = "the set $(1,2)$", "so $1<x<2$"
    one, other = verify(parse(interval), parse(inequality)), verify(parse(inequality), parse(interval))
    assert one != other
    assert len(clusters(final_answer(), answer_set(interval, inequality))) == 1


# embedding


class Letters:
    """One token a character."""

    all_special_tokens = ("[SEP]",)

    def __init__(self) -> None:
        self.added_tokens_decoder: dict[int, Any] = {}

    def __call__(self, text: str | list[str], **_: object) -> dict[str, Any]:
        if isinstance(text, str):
            return {"input_ids": list(text), "offset_mapping": [(place, place + 1) for place in range(len(text))]}
        return {"input_ids": [list(one) for one in text]}


def embedding(
    encode: Callable[[list[str]], Any], threshold: float = 0.9, max_tokens: int | None = None
) -> tuple[Embedding, list[list[str]]]:
    asked: list[list[str]] = []

    def recorded(texts: list[str]) -> Any:
        asked.append(texts)
        return encode(texts)

    encoder = Encoder(recorded, Letters(), max_tokens)
    return Embedding(lambda: encoder, threshold, "digest", "fake"), asked


def on_a_circle(degrees: dict[str, float]) -> Callable[[list[str]], Any]:
    def encode(texts: list[str]) -> Any:
        angles = [math.radians(degrees[text.split()[-1]]) for text in texts]
        return np.array([[math.cos(angle), math.sin(angle)] for angle in angles], dtype=np.float32)

    return encode


def test_answers_closer_than_the_threshold_are_linked_through_others() -> None:
    places = on_a_circle({"a": 0, "b": 25, "c": 50, "d": 80})  # cos 25 = 0.906, cos 30 = 0.866, cos 50 = 0.643
    answers = answer_set("a", "b", "c", "d")
    assert clusters(embedding(places)[0], answers) == [{"a", "b", "c"}, {"d"}]
    assert clusters(embedding(places, 0.86)[0], answers) == [{"a", "b", "c", "d"}]
    values_NN = related(embedding(places)[0], answers).matrix()
    assert values_NN[0].tolist() == pytest.approx([1, 0.906308, 0.642788, 0.173648], abs=1e-6)


def test_cosines_are_exactly_symmetric() -> None:
    vectors_ND = np.random.default_rng(0).normal(size=(40, 384)).astype(np.float32)
    vectors_ND /= np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    assert (cosines(vectors_ND) == cosines(vectors_ND).T).all()


def test_a_long_question_leaves_half_of_the_room_to_the_answer() -> None:
    found, asked = embedding(lambda texts: np.eye(len(texts), dtype=np.float32), max_tokens=20)
    relation = related(found, answer_set("short", "an answer of 23 letters", prompt="q" * 100))
    assert asked == [["qqqqqqqqqq an answer of 23 letters", "qqqqqqqqqq short"]]
    assert relation.n_cut == 1  # 16 letters fit, 34 do not


def test_special_tokens_in_an_answer_are_taken_apart() -> None:
    found, asked = embedding(lambda texts: np.eye(len(texts), dtype=np.float32))
    related(found, answer_set("x", "y[SEP]z", prompt="Q[SEP]"))
    assert not any("[SEP]" in text for text in asked[0])


def test_a_chunk_is_encoded_whole_or_not_at_all() -> None:
    found, asked = embedding(on_a_circle({"a": 0, "b": 25, "c": 50}))
    sets = [answer_set("a", "b"), answer_set("b", "c")]
    whole = [relation for _, relation in found.relate(sets, [None, None])]
    resumed = list(found.relate(sets, [whole[0], None]))
    assert asked[0] == asked[1] and resumed == [(1, whole[1])]
    assert list(found.relate(sets, whole)) == [] and len(asked) == 2


# all


def test_a_relation_is_paid_for_once_whatever_rule_reads_it() -> None:
    answers = answer_set("a", "b")
    assert relation_id(nli("strict"), answers) == relation_id(nli("greedy"), answers)
    places = on_a_circle({"a": 0, "b": 1})
    assert relation_id(embedding(places, 0.8)[0], answers) == relation_id(embedding(places, 0.9)[0], answers)
    assert relation_id(exact(), answers) != relation_id(final_answer(), answers)


def test_a_threshold_that_no_cosine_can_have_is_refused() -> None:
    with pytest.raises(InputError, match="threshold must be in"):
        open_equivalence(EquivalenceOptions(threshold=90), EngineOptions())


@pytest.mark.slow
def test_the_packaged_model_knows_a_paraphrase() -> None:
    found = open_equivalence(EquivalenceOptions(), EngineOptions())
    dickens = {
        "Charles Dickens",
        "It was written by Charles Dickens.",
        "The author of A Tale of Two Cities is Charles Dickens.",
    }
    hugo = {"Victor Hugo", "It was written by Victor Hugo."}
    answers = answer_set(*dickens, *hugo, prompt="who wrote a tale of two cities")
    found_clusters = clusters(found, answers)
    assert dickens in found_clusters and hugo in found_clusters and len(found_clusters) == 2
