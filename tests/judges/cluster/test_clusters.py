import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judges.cluster.answer_sets import AnswerSet, Member
from judges.cluster.clusters import Clustering, Spg, components, decide, greedy
from judges.cluster.equivalence import FloatNN, Relation
from judges.cluster.equivalences.texts import SameText
from records import Pair

REWARD = Spg(gamma=0.5, choose="reward", judge="the-judge")
CENTRAL = Spg(gamma=0.5, choose="central")


def by_first_letter(texts: list[str]) -> tuple[FloatNN, tuple[int, ...]]:
    """Texts that begin alike mean the same; one that begins with ? cannot be read."""
    values = [[float(a == b or a[0] == b[0] != "?") for b in texts] for a in texts]
    return np.array(values), tuple(place for place, text in enumerate(texts) if text[0] == "?")


LETTERS = SameText("letters", "letters", by_first_letter)


def answer_set(*answers: tuple[str, float | None] | str, prompt_id: str = "p", n_unusable: int = 0) -> AnswerSet:
    votes = [(answer, None) if isinstance(answer, str) else answer for answer in answers]
    texts = sorted({text for text, _ in votes})
    members = []
    for text in texts:
        scores = [score for other, score in votes if other == text and score is not None]
        ids = [f"{text}{number}" for number, (other, _) in enumerate(votes) if other == text]
        members.append(Member(text, sorted(ids), max(scores, default=None)))
    return AnswerSet(prompt_id, "Q", tuple(members), n_unusable)


def outcome(answers: AnswerSet, spg: Spg, same: SameText = LETTERS) -> tuple[Clustering, Pair | None]:
    relation = next(same.relate([answers], [None]))[1] if len(answers.members) > 1 else None
    return decide(answers, relation, same, spg)


def chosen(pair: Pair | None) -> str:
    assert pair is not None
    return pair.chosen[0]["content"]


def rejected(pair: Pair | None) -> str:
    assert pair is not None
    return pair.rejected[0]["content"]


def from_matrix(values: Sequence[Sequence[float]], *, is_greedy: bool = False) -> SameText:
    return SameText("matrix", "matrix", lambda _: (np.array(values), ()), greedy=is_greedy)


CHAIN = [[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 1.0]]


def test_components_close_a_chain_and_greedy_looks_at_first_members_only() -> None:
    same_NN = np.array(CHAIN) == 1
    assert components(same_NN) == [[0, 1, 2]]
    assert greedy(same_NN) == [[0, 1], [2]]
    assert greedy(same_NN[[1, 0, 2]][:, [1, 0, 2]]) == [[0, 1, 2]]  # the middle one first: the order matters


def test_the_rule_of_the_relation_decides_which_of_the_two_is_used() -> None:
    answers = answer_set("a", "b", "c")
    assert outcome(answers, CENTRAL, from_matrix(CHAIN))[0].sizes == [3]
    assert outcome(answers, CENTRAL, from_matrix(CHAIN, is_greedy=True))[0].sizes == [2, 1]


def test_ten_answers_in_clusters_of_six_three_and_one() -> None:
    scores = [1.0, 4.0, 2.0, 3.0, 0.0, 2.5]
    answers = answer_set(
        *((f"a{n}", score) for n, score in enumerate(scores)),
        *((f"b{n}", 5.0) for n in range(3)),
        ("c0", 4.5),
        n_unusable=2,
    )
    clustering, pair = outcome(answers, REWARD)
    assert clustering.sizes == [6, 3, 1] and clustering.confidence == 0.6
    assert (clustering.n_answers, clustering.n_unusable, clustering.outcome) == (12, 2, "pair")
    assert chosen(pair) == "a1"  # the highest reward of the largest cluster, though others have more
    assert rejected(pair)[0] in "bc"
    assert pair is not None and pair.confidence == 0.6 and pair.judge == "the-judge"
    assert pair.chosen_score == 4.0 and pair.margin == 4.0 - (pair.rejected_score or 0)


@pytest.mark.parametrize(
    ("gamma", "expected"), [(0.5, "pair"), (0.6, "pair"), (0.61, "under gamma"), (1.0, "under gamma")]
)
def test_a_prompt_is_kept_where_its_confidence_is_gamma_or_more(gamma: float, expected: str) -> None:
    answers = answer_set("a1", "a2", "a3", "b1", "c1")
    clustering, pair = outcome(answers, Spg(gamma))
    assert clustering.outcome == expected and (pair is None) == (expected != "pair")


def test_equal_texts_are_separate_votes() -> None:
    clustering, pair = outcome(answer_set("a", "a", "a", "b1", "b2"), CENTRAL)
    assert clustering.sizes == [3, 2] and clustering.confidence == 0.6 and chosen(pair) == "a"


def test_no_pair_where_all_agree_whatever_their_words() -> None:
    for answers in (answer_set("a1", "a2", "a3"), answer_set("a", "a")):
        clustering, pair = outcome(answers, CENTRAL)
        assert pair is None and clustering.outcome == "all agree" and clustering.confidence == 1


@pytest.mark.parametrize("answers", [answer_set("a", n_unusable=3), answer_set(n_unusable=2)])
def test_no_confidence_for_fewer_than_two_answers_with_text(answers: AnswerSet) -> None:
    clustering, pair = outcome(answers, CENTRAL)
    assert pair is None and clustering.outcome == "too few" and clustering.confidence is None
    assert sum(clustering.sizes or []) + clustering.n_unusable == clustering.n_answers


def test_a_failed_relation_is_no_cluster_and_no_number() -> None:
    relation = Relation(id="r", prompt_id="p", values=[[1.0, None], [0.0, 1.0]], error="no route")
    clustering, pair = decide(answer_set("a", "b"), relation, LETTERS, CENTRAL)
    assert pair is None and clustering.outcome == "failed" and clustering.error == "no route"
    assert clustering.clusters is None and clustering.sizes is None and clustering.confidence is None


def test_no_pair_by_reward_where_nobody_in_the_largest_cluster_has_one() -> None:
    answers = answer_set("a1", "a2", ("b1", 3.0))
    assert outcome(answers, REWARD)[0].outcome == "unscored"
    assert chosen(outcome(answers, CENTRAL)[1]) in ("a1", "a2")


def test_an_answer_without_a_reward_is_not_taken_for_one_with_zero() -> None:
    answers = answer_set(("a1", -2.0), "a2", "a3", ("b1", 1.0))
    assert chosen(outcome(answers, REWARD)[1]) == "a1"


def test_the_most_central_answer_is_close_to_the_most_votes() -> None:
    values = [[1.0, 0.9, 0.6, 0.1], [0.9, 1.0, 0.7, 0.1], [0.6, 0.7, 1.0, 0.1], [0.1, 0.1, 0.1, 1.0]]

    class Near(SameText):
        def same(self, values_NN: FloatNN) -> np.ndarray:
            return values_NN >= 0.5

    same = Near("near", "near", lambda _: (np.array(values), ()))
    assert chosen(outcome(answer_set("a", "b", "c", "d"), CENTRAL, same)[1]) == "b"  # 1.5, 1.6, 1.3
    repeated = answer_set("a", "b", "c", "c", "c", "c", "d")  # 0.9 + 4*0.6, 0.9 + 4*0.7, 0.6 + 0.7 + 3
    assert chosen(outcome(repeated, CENTRAL, same)[1]) == "c"


def test_a_tie_of_the_largest_is_recorded_and_goes_to_the_higher_reward() -> None:
    answers = answer_set(("a1", 1.0), ("a2", 2.0), ("b1", 3.0), ("b2", 0.0))
    clustering, pair = outcome(answers, REWARD)
    assert clustering.n_largest == 2 and clustering.confidence == 0.5 and chosen(pair) == "b1"
    assert pair is not None and pair.evidence is not None and pair.evidence[0]["n_largest"] == 2


def test_a_tie_without_rewards_favours_no_letter() -> None:
    winners = Counter(chosen(outcome(answer_set("a", "b", prompt_id=f"p{n}"), CENTRAL)[1]) for n in range(400))
    assert 160 < winners["a"] < 240  # four standard deviations


def test_a_tie_goes_to_a_cluster_that_something_was_read_from() -> None:
    for n in range(20):
        clustering, pair = outcome(answer_set("?1", "?2", "b", prompt_id=f"p{n}"), Spg(gamma=0.3))
        assert clustering.sizes == [1, 1, 1] and clustering.n_unread == 2 and chosen(pair) == "b"


def test_the_rejected_answer_is_drawn_evenly_from_the_votes_outside() -> None:
    sets = (answer_set("a1", "a2", "a3", "b", "b", "c", prompt_id=f"p{n}") for n in range(900))
    drawn = Counter(rejected(outcome(answers, CENTRAL)[1]) for answers in sets)
    assert set(drawn) == {"b", "c"}
    assert abs(drawn["b"] - 600) < 4 * (900 * 2 / 3 / 3) ** 0.5  # b has two of the three votes


def test_another_seed_draws_another_answer_and_the_same_seed_the_same() -> None:
    answers = answer_set("a1", "a2", "a3", "a4", "a5", *(f"b{n}" for n in range(5)))
    drawn = [rejected(outcome(answers, Spg(seed=seed))[1]) for seed in range(20)]
    assert len(set(drawn)) > 2
    assert drawn == [rejected(outcome(answers, Spg(seed=seed))[1]) for seed in range(20)]


@given(
    st.lists(st.tuples(st.sampled_from(["a1", "a2", "b1", "b2", "c", "?"]), st.none() | st.floats(0, 5)), min_size=1),
    st.randoms(use_true_random=False),
    st.sampled_from([REWARD, CENTRAL, Spg(gamma=0.2)]),
)
@settings(deadline=None, max_examples=200)
def test_shuffled_answers_give_the_same_clusters_and_the_same_pair(
    votes: list[tuple[str, float | None]], random_order: random.Random, spg: Spg
) -> None:
    shuffled = random_order.sample(votes, len(votes))
    [(first, pair), (second, other)] = [outcome(answer_set(*order), spg) for order in (votes, shuffled)]
    assert first.sizes == second.sizes and texts(first) == texts(second)
    assert first.outcome == second.outcome and first.confidence == second.confidence
    assert (pair and (chosen(pair), rejected(pair))) == (other and (chosen(other), rejected(other)))


@given(st.integers(2, 9), st.data())
@settings(deadline=None, max_examples=100)
def test_components_are_a_partition_that_does_not_depend_on_the_order(n: int, data: st.DataObject) -> None:
    linked = data.draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=12))
    same_NN = np.eye(n, dtype=bool)
    for i, j in linked:
        same_NN[i, j] = same_NN[j, i] = True
    order = data.draw(st.permutations(range(n)))
    found = {frozenset(cluster) for cluster in components(same_NN)}
    turned = {frozenset(order[place] for place in cluster) for cluster in components(same_NN[order][:, order])}
    assert found == turned and sorted(place for cluster in found for place in cluster) == list(range(n))
    assert all(any(i in cluster and j in cluster for cluster in found) for i, j in linked)


def texts(clustering: Clustering) -> list[list[str]]:
    return [[member.response for member in cluster] for cluster in clustering.clusters or []]
