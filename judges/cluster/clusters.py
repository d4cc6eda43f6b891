"""Self-consistency: answers of the same meaning form clusters, and the largest cluster's share is the confidence.

RLP-SPG (Lang et al. 2024, arXiv 2403.19279, section 3.3) makes a preference pair from each prompt with enough
confidence: the chosen answer is from the largest cluster, the rejected one from any other. The clusters are those of
semantic uncertainty (Kuhn et al. 2023, arXiv 2302.09664).
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from judges.cluster.answer_sets import AnswerSet, Member
from judges.cluster.equivalence import BoolNN, Equivalence, FloatNN, Relation
from records import Message, Pair, pair_of
from records.keys import content_key, derived_seed
from records.rows import Row

Choose = Literal["reward", "central"]
Outcome = Literal["pair", "all agree", "under gamma", "too few", "unscored", "failed"]


@dataclass(frozen=True)
class Spg:
    """The rule that makes pairs from clusters."""

    gamma: float = 0.5
    """The lowest confidence that gives a pair."""
    choose: Choose = "central"
    """The chosen answer of the largest cluster: the one with the highest reward, or the most central one."""
    seed: int = 0
    judge: str | None = None
    """The fingerprint of the judge that gave the rewards."""


class Clustering(Row, frozen=True, kw_only=True):
    """The outcome of one prompt."""

    prompt_id: str
    prompt: str | list[Message]
    clusters: list[list[Member]] | None
    """The largest first, or None if the relation is unknown."""
    sizes: list[int] | None
    """Answers in each cluster. Equal texts count one by one."""
    confidence: float | None
    """The share of the largest cluster, or None if fewer than two answers have text."""
    n_largest: int
    """The number of clusters of the largest size. Over 1 is a tie."""
    n_answers: int
    n_unusable: int
    """Answers without text. The sizes add up to the others."""
    n_unread: int
    """Answers in a cluster of their own because no final answer could be read (final_answer)."""
    n_cut: int
    """Distinct texts of which only the beginning was compared."""
    outcome: Outcome
    """`pair`, or the reason for no pair."""
    error: str | None
    equivalence: str
    """The relation, its model and its rule."""


@dataclass(frozen=True)
class Groups:
    """A prompt's clusters as places in its list of texts, the largest first."""

    places: list[list[int]]
    similarity: FloatNN | None
    """None if all texts of a cluster are equally close."""
    sizes: list[int]
    n_largest: int


def components(same_NN: BoolNN) -> list[list[int]]:
    """Return the connected components of a symmetric relation: a text joins a cluster if it equals one member."""
    links = np.nonzero(same_NN)  # a sparse matrix from places takes a third of the time of a dense one
    graph = csr_array((np.ones(len(links[0])), links), shape=same_NN.shape)
    n_clusters, labels = connected_components(graph, directed=False)
    clusters: list[list[int]] = [[] for _ in range(n_clusters)]
    for place, label in enumerate(labels.tolist()):
        clusters[label].append(place)
    return clusters


def greedy(same_NN: BoolNN) -> list[list[int]]:
    """Return clusters grown in order: each text joins the first cluster whose first member means the same.

    This is algorithm 1 of Kuhn et al. 2023. The outcome depends on the order, which is that of the sorted texts.
    """
    clusters: list[list[int]] = []
    for place in range(len(same_NN)):
        home = next((cluster for cluster in clusters if same_NN[place, cluster[0]]), None)
        if home is None:
            clusters.append([place])
        else:
            home.append(place)
    return clusters


def decide(
    answers: AnswerSet, relation: Relation | None, equivalence: Equivalence, spg: Spg
) -> tuple[Clustering, Pair | None]:
    """Return the outcome of a prompt, and its preference pair if it has one.

    `relation` is None if there are fewer than two distinct texts. Nothing depends on the order of the answers.
    """
    if answers.n_votes < 2:
        return _clustering(answers, relation, equivalence, None, "too few"), None
    if relation is not None and relation.error:
        return _clustering(answers, relation, equivalence, None, "failed"), None
    groups = group(answers, relation, equivalence, spg)
    chosen = _chosen(answers, groups, spg)
    outcome: Outcome = "pair"
    if len(groups.places) == 1:
        outcome = "all agree"
    elif groups.sizes[0] / answers.n_votes < spg.gamma:
        outcome = "under gamma"
    elif chosen is None:
        outcome = "unscored"
    clustering = _clustering(answers, relation, equivalence, groups, outcome)
    return clustering, _pair(answers, groups, chosen, clustering, spg) if outcome == "pair" and chosen else None


def group(answers: AnswerSet, relation: Relation | None, equivalence: Equivalence, spg: Spg) -> Groups:
    """Return the clusters of two answers or more.

    Among clusters of one size, those with a readable answer come first, then (reward) the one with the highest reward,
    then the first by a seeded hash of its first text.
    """
    similarity_NN: FloatNN | None = None
    unread = set(relation.unread) if relation else set()
    if relation is None:
        places = [[0]]
    elif (clusters := relation.clusters) is not None:
        places = _numbered_alike(clusters)  # no matrix, which would grow with the square of the texts
    else:
        values_NN = relation.matrix()
        same_NN = equivalence.same(values_NN)
        places = greedy(same_NN) if equivalence.greedy else components(same_NN)
        similarity_NN = equivalence.similarity(values_NN)

    def rank(cluster: list[int]) -> tuple[int, bool, float, str]:
        scores = [answers.members[place].score for place in cluster] if spg.choose == "reward" else []
        best = max((score for score in scores if score is not None), default=-np.inf)
        return -_size(answers, cluster), cluster[0] in unread, -best, _lot(answers, cluster[0], spg)

    places = sorted(places, key=rank)
    sizes = [_size(answers, cluster) for cluster in places]
    return Groups(places, similarity_NN, sizes, sizes.count(sizes[0]))


def _numbered_alike(numbers: Sequence[float | None]) -> list[list[int]]:
    by_number: dict[float | None, list[int]] = {}
    for place, number in enumerate(numbers):
        by_number.setdefault(number, []).append(place)
    return list(by_number.values())


def _size(answers: AnswerSet, cluster: list[int]) -> int:
    return sum(len(answers.members[place].ids) for place in cluster)


def _lot(answers: AnswerSet, place: int, spg: Spg) -> str:
    """Return a seeded, order-independent tie-break key."""
    return content_key("lot", spg.seed, answers.prompt_id, answers.members[place].response)


def _chosen(answers: AnswerSet, groups: Groups, spg: Spg) -> Member | None:
    """Return the largest cluster's answer with the highest reward, or its most central one. None without rewards."""
    cluster = groups.places[0]

    def rank(place: int) -> tuple[float, float, str]:
        score = answers.members[place].score if spg.choose == "reward" else None
        # minus, because min() takes the first: the highest score, then the most central one
        return -(score or 0.0), -_centrality(answers, groups.similarity, cluster, place), _lot(answers, place, spg)

    known = [place for place in cluster if spg.choose == "central" or answers.members[place].score is not None]
    return answers.members[min(known, key=rank)] if known else None


def _centrality(answers: AnswerSet, similarity_NN: FloatNN | None, cluster: list[int], place: int) -> float:
    """Return the summed similarity of one answer to the other answers of its cluster, each vote counted.

    It is 0 for each if all are equally close.
    """
    if similarity_NN is None:
        return 0.0
    total = sum(len(answers.members[other].ids) * float(similarity_NN[place, other]) for other in cluster)
    # Without one vote, its own. Rounded, so that equals are left to the tie-break and not to the rounding of sums.
    return round(total - float(similarity_NN[place, place]), 9)


def _pair(answers: AnswerSet, groups: Groups, chosen: Member, clustering: Clustering, spg: Spg) -> Pair:
    # a text as often as it was given, so that a common wrong answer is drawn more often
    votes = [place for cluster in groups.places[1:] for place in cluster for _ in answers.members[place].ids]
    draw = random.Random(derived_seed("rejected", spg.seed, answers.prompt_id))
    rejected = answers.members[draw.choice(sorted(votes))]  # sorted, so that the order of the clusters does not matter
    by_reward = spg.choose == "reward"
    evidence: dict[str, Any] = {
        "kind": "self-consistency",
        "equivalence": clustering.equivalence,
        "sizes": groups.sizes,
        "n_largest": groups.n_largest,
        "n_unusable": clustering.n_unusable,
        "chosen_by": spg.choose,
        "chosen_id": chosen.ids[0],
        "rejected_id": rejected.ids[0],
    }
    return pair_of(
        answers.prompt,
        answers.prompt_id,
        chosen.response,
        rejected.response,
        (chosen.score, rejected.score) if by_reward else (None, None),
        confidence=clustering.confidence,
        judge=spg.judge if by_reward else None,
        evidence=[evidence],
    )


def _clustering(
    answers: AnswerSet, relation: Relation | None, equivalence: Equivalence, groups: Groups | None, outcome: Outcome
) -> Clustering:
    clusters, sizes = None, None
    if groups is not None:
        clusters, sizes = [[answers.members[place] for place in cluster] for cluster in groups.places], groups.sizes
    elif outcome == "too few":
        clusters, sizes = [[member] for member in answers.members], [1 for _ in answers.members]
    return Clustering(
        prompt_id=answers.prompt_id,
        prompt=answers.prompt,
        clusters=clusters,
        sizes=sizes,
        confidence=groups.sizes[0] / answers.n_votes if groups else None,
        n_largest=groups.n_largest if groups else 0,
        n_answers=answers.n_votes + answers.n_unusable,
        n_unusable=answers.n_unusable,
        n_unread=_size(answers, list(relation.unread)) if relation else 0,
        n_cut=relation.n_cut if relation else 0,
        outcome=outcome,
        error=relation.error if relation else None,
        equivalence=described(equivalence),
    )


def described(equivalence: Equivalence) -> str:
    """Return the relation with its model and rule in words."""
    return f"{equivalence.name}, {equivalence.rule}"
