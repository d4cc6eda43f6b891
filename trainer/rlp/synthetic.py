"""Preference pairs of the policy's own answers, in the four ways that RLP compares (arXiv 2403.19279, table 5)."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from console.progress import progress
from engines.protocol import Engine
from judges.cluster.answer_sets import AnswerSet, Census, Member, read_answer_sets, take_census
from judges.cluster.clustering import rows_into
from judges.cluster.clusters import Spg, decide
from judges.cluster.equivalences.choice import open_equivalence
from judges.cluster.relations import open_relations, related
from judges.judging.judge import open_judge
from judges.judging.pairwise import Contest, both_orders_answered, compare_into, comparison_id
from records import Comparison, Pair, Store, pair_of
from records.files import BadRows
from records.keys import derived_seed
from trainer.rlp.synthetic_options import SyntheticOptions

Outcome = tuple[str, Pair | None]
"""`pair` with the pair, or another outcome without one."""
OUTCOMES = ("pair", "all agree", "under gamma", "too few", "unscored", "tied", "failed")
"""The outcomes of a prompt. pair: it gave a pair. all agree: there is nothing to reject. under gamma: no meaning is
common enough. too few: fewer than two answers have text. unscored: a needed reward is missing. tied: two equal rewards,
or the policy prefers neither. failed: a comparison has no verdict, or a relation could not be determined."""


def synthetic_pairs(
    judgments: Path, folder: Path, options: SyntheticOptions, seed: int, policy: Callable[[], Engine]
) -> dict[str, int]:
    """Write the pairs, at most one per prompt, to pairs.jsonl in `folder` and return the number of each outcome.

    `judgments` has the policy's answers with their rewards by one judge. `policy` is called only if the policy is the
    judge (rlaif). The sources of the pairs are stored beside them: clusters.jsonl and relations.jsonl (spg,
    select_all), or comparisons.jsonl (rlaif). An interruption loses no paid call.
    """
    census = take_census(judgments, BadRows(strict=True))
    counts = Counter(dict.fromkeys(OUTCOMES, 0))
    with rows_into(folder / "pairs.jsonl") as write:
        for outcome, pair in _outcomes(judgments, census, folder, options, seed, policy):
            counts[outcome] += 1
            if pair is not None:
                write(msgspec.structs.replace(pair, weight=options.weight))
    return dict(counts)


def two_of(answers: AnswerSet, seed: int) -> tuple[Member, Member]:
    """Return two different texts drawn at random, weighted by how often each was given. There must be two."""
    # A text stands here once per answer that gave it, so a plain draw is weighted.
    votes = [place for place, member in enumerate(answers.members) for _ in member.ids]
    draw = Random(derived_seed(seed, "two answers", answers.prompt_id))
    first = draw.choice(votes)
    second = draw.choice([place for place in votes if place != first])
    return answers.members[first], answers.members[second]


def _outcomes(
    judgments: Path,
    census: Census,
    folder: Path,
    options: SyntheticOptions,
    seed: int,
    policy: Callable[[], Engine],
) -> Iterator[Outcome]:
    sets, judge = read_answer_sets(judgments, census), next(iter(census.judges), None)
    match options.method:
        case "reward":
            return (_by_reward(answers, seed, judge) for answers in sets)
        case "rlaif":
            return _by_policy(list(sets), folder, options, seed, policy)
        case _:
            spg = Spg(options.least_share, "reward", seed, judge)
            return _by_cluster(sets, len(census.n_rows), folder, options, spg)


def _by_cluster(
    sets: Iterator[AnswerSet], n: int, folder: Path, options: SyntheticOptions, spg: Spg
) -> Iterator[Outcome]:
    equivalence = open_equivalence(options.relation, options.engine)
    with (
        open_relations(folder / "relations.jsonl") as store,
        rows_into(folder / "clusters.jsonl") as write,
        progress("clustering", n) as advance,
    ):
        for answers, relation in related(sets, equivalence, store, advance):
            clustering, pair = decide(answers, relation, equivalence, spg)
            write(clustering)
            yield clustering.outcome, pair


def _by_reward(answers: AnswerSet, seed: int, judge: str | None) -> Outcome:
    if reason := _too_few(answers):
        return reason, None
    two = two_of(answers, seed)
    first, second = (member.score for member in two)
    if first is None or second is None:
        return "unscored", None
    if first == second:
        return "tied", None
    chosen, rejected = two if first > second else two[::-1]
    return "pair", _pair(answers, chosen, rejected, {"kind": "reward"}, judge)


def _by_policy(
    sets: Sequence[AnswerSet],
    folder: Path,
    options: SyntheticOptions,
    seed: int,
    policy: Callable[[], Engine],
) -> Iterator[Outcome]:
    judge = open_judge(policy(), options.judge, seed)
    twos = {place: two_of(answers, seed) for place, answers in enumerate(sets) if not _too_few(answers)}
    contests = {place: _contest(sets[place], *two) for place, two in twos.items()}
    with Store(folder / "comparisons.jsonl", Comparison, keep=both_orders_answered) as store:
        rows = compare_into(store, judge, list(contests.values()), "the policy comparing its answers")
    by_id = {comparison.id: comparison for comparison in rows}
    for place, answers in enumerate(sets):
        if reason := _too_few(answers):
            yield reason, None
            continue
        comparison = by_id[comparison_id(judge, contests[place])]
        if comparison.winner in ("a", "b"):
            chosen, rejected = twos[place] if comparison.winner == "a" else twos[place][::-1]
            yield (
                "pair",
                _pair(
                    answers,
                    chosen,
                    rejected,
                    {"kind": "comparison", "id": comparison.id},
                    comparison.judge,
                    scored=False,
                ),
            )
        else:
            yield "failed" if comparison.winner is None else "tied", None


def _too_few(answers: AnswerSet) -> str | None:
    if answers.n_votes < 2:
        return "too few"
    return "all agree" if len(answers.members) < 2 else None


def _contest(answers: AnswerSet, first: Member, second: Member) -> Contest:
    return Contest(answers.prompt_id, answers.prompt, first.response, second.response, "a", "b")


def _pair(
    answers: AnswerSet,
    chosen: Member,
    rejected: Member,
    evidence: dict[str, Any],
    judge: str | None,
    *,
    scored: bool = True,
) -> Pair:
    return pair_of(
        answers.prompt,
        answers.prompt_id,
        chosen.response,
        rejected.response,
        (chosen.score, rejected.score) if scored else (None, None),
        judge=judge,
        evidence=[evidence | {"chosen_id": chosen.ids[0], "rejected_id": rejected.ids[0]}],
    )
