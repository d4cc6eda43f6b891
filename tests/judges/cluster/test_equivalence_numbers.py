"""Final answers: what math-verify drops or cuts is read whole, and no answer links two others that differ."""

from itertools import permutations

import pytest

from judges.cluster.clusters import Spg, decide
from judges.cluster.equivalence import Relation
from judges.cluster.equivalences.final_numbers import final_answer_of, same_values
from judges.cluster.equivalences.texts import final_answer, same_final_answer
from judges.parsing.numerals import plain_numbers
from tests.judges.cluster.relations import answer_set, clusters, related


@pytest.mark.parametrize(
    "groups",
    [
        # a percentage is its hundredth, and only where nothing is that the number before the sign
        ["50% 0.5 1/2 50\\%", "50"],
        ["0.5", "50"],
        ["50% 50"],
        ["0.5 50%", "0.5%"],
        ["5% 0.05", "0.5 50%", "5", "50"],
        # currencies and cents
        ["$5", "0.05 5¢"],
        ["$0.05 5¢", "5 $5"],
        ["5 5¢"],
        ["$5", "€5", "5"],
        ["5 $5 \\boxed{5}"],
        ["$1,234.50 1234.5"],
        ["$1,234.50", "€1,234.50", "1234.5"],
        # times, ratios
        ["12:30", "12", "30"],
        ["2:1", "2"],
        # signs
        ["−5 -5 －5 –5", "5"],
        # whole numbers in other scripts and forms
        ["３.5 3½ 7/2 $3\\frac{1}{2}$", "3"],
        ["1.5e3 1500 1'500", "1.5", "1"],
        ["2² 4", "2"],
        ["1/2 ½ 0.5", "2"],
    ],
)
def test_final_answers_that_are_the_same_and_only_these_are_one_cluster(groups: list[str]) -> None:
    meant = [set(group.split()) for group in groups]
    found = clusters(final_answer(), answer_set(*(text for group in meant for text in sorted(group))))
    assert sorted(map(sorted, found)) == sorted(map(sorted, meant))


@pytest.mark.parametrize(
    ("same", "others"),
    [
        (["It costs 5 cents.", "$0.05", "\\boxed{5\\text{ cents}}"], ["It costs $5.", "5 dollars"]),
        (["So he is 3 1/2 years old.", "He is 3.5"], ["He is 1", "He is 3"]),
        (["He earns $5 million.", "5,000,000 dollars"], ["He earns $5."]),
        (["10 / 4 = 2 remainder 2", "It is 2 R 2"], ["It is 2", "It is 2.5"]),
        (["50 percent", "That is 50%.", "\\boxed{50\\%}", "one half, 0.5"], ["That is 50."]),
        (["It starts at 12:30.", "\\boxed{12:30}"], ["It starts at 12."]),
        (["a loss of −3 units", "It is -3"], ["It is 3", "– 3"]),
    ],
)
def test_final_answers_in_sentences(same: list[str], others: list[str]) -> None:
    found = clusters(final_answer(), answer_set(*same, *others))
    assert set(same) in found
    assert not any(set(other) & set(same) for other in found if other != set(same))


def test_a_percentage_among_both_makes_no_agreement_of_all() -> None:
    answers, relation = answer_set("50%", "0.5", "1/2", "50"), final_answer()
    found, pair = decide(answers, related(relation, answers), relation, Spg())
    assert (found.outcome, found.sizes, found.confidence) == ("pair", [3, 1], 0.75)
    assert pair is not None and pair.rejected[-1]["content"] == "50"


@pytest.mark.parametrize(
    "texts", [("50%", "0.5", "50"), ("$5", "5", "5 cents"), ("€5", "$5", "5"), ("0.5%", "0.5", "50%")]
)
def test_the_relation_is_an_equivalence_whatever_the_order(texts: tuple[str, ...]) -> None:
    found = {str(sorted(map(sorted, clusters(final_answer(), answer_set(*some))))) for some in permutations(texts)}
    assert len(found) == 1
    same_NN = related(final_answer(), answer_set(*texts)).matrix() == 1
    assert ((same_NN @ same_NN) == same_NN).all() and (same_NN == same_NN.T).all()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("In 2020 1/2 of them", "In 2020 1/2 of them"),
        ("on 12 31/12", "on 12 31/12"),
        ("3 1/0", "3 1/0"),
        ("– 5 apples", "– 5 apples"),
        ("x − 5 = −1", "x - 5 = -1"),
        ("5–10", "5-10"),
        ("x²+y³", "x^2+y^3"),
        ("1.5E-3 and 2e2", "0.0015 and 200"),
        ("abc1e5", "abc1e5"),
        ("6'2", "6'2"),
        ("100½", "201/2"),
    ],
)
def test_only_numbers_are_written_anew(text: str, expected: str) -> None:
    assert plain_numbers(text) == expected


def test_whole_numbers_are_not_compared_two_by_two() -> None:
    asked: list[object] = []

    def same(first: list[object], other: list[object]) -> bool:
        asked.append(first)
        return same_final_answer(first, other)

    answers = [final_answer_of(f"The answer is {place % 50}.") for place in range(200)]
    assert same_values(answers, same) == [place % 50 for place in range(200)] and len(asked) == 50


def test_a_stored_matrix_of_an_earlier_version_gives_the_same_clusters() -> None:
    answers = answer_set("2", "2.0", "3", "nothing", "$2", "two is 2")
    relation = related(final_answer(), answers)
    assert len(relation.values) == 1
    before = Relation(id="r", prompt_id="p", values=relation.matrix().tolist(), unread=relation.unread)
    assert decide(answers, before, final_answer(), Spg(0.1)) == decide(answers, relation, final_answer(), Spg(0.1))
