"""Filters that drop a preference pair: refuted claims, another judge, human votes, narrow margins, frequent scores."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from console.errors import InputError
from judges.panels.agreement import step_of
from judges.rubrics.rubric import Rubric, load_rubric
from judges.tools.rows import evidence_of
from judges.tools.scores import evidence_filter
from records import Judgment, Pair, answer_key
from records.disk import DiskDict, DiskRanks, DiskRows, DiskSet, GroupedRows
from records.fields.typed import read_typed
from records.files import BadRows
from records.keys import derived_seed
from trainer.pairs.options import EvidenceRule
from trainer.pairs.votes import Preferred, Votes, votes_on

Objection = Literal["refuted", "disagreed"]


@dataclass(frozen=True)
class Checks:
    """The filters of a pair, with their files read."""

    evidence: EvidenceRule = "any"
    second_scores: Mapping[str, float | None] | None = None
    """The second judge's scores by `answer_key`, or None without a second judge."""
    votes: Votes | None = None

    def objection(self, chosen: Judgment, rejected: Judgment) -> Objection | None:
        """Return the objection to a pair that people have not voted on, or None."""
        if is_refuted(chosen, rejected, self.evidence):
            return "refuted"
        if self.second_scores is not None and not is_seconded(chosen, rejected, self.second_scores):
            return "disagreed"
        return None

    def preferred(self, chosen: Judgment, rejected: Judgment) -> Preferred | None:
        """Return the answer that people prefer, or None if nobody voted on the two."""
        return None if self.votes is None else self.votes.preferred(chosen, rejected)


def open_checks(
    evidence: EvidenceRule, second_judge: Path | None, votes: Path | None, judgments: Iterable[Judgment]
) -> Checks:
    """Return the checks with their files read. Raises InputError if a file is missing or fits no judgment."""
    return Checks(
        evidence,
        read_second_scores(second_judge, judgments) if second_judge else None,
        votes_on(votes, judgments) if votes else None,
    )


def is_refuted(chosen: Judgment, rejected: Judgment, rule: EvidenceRule) -> bool:
    """Return whether the evidence is against a pair. Raises InputError if the judgments have no evidence."""
    if rule == "any":
        return False
    for_chosen, for_rejected = evidence_of(chosen), evidence_of(rejected)
    if for_chosen is None or for_rejected is None:
        raise InputError(f"pairs.evidence = '{rule}' needs judgments whose claims or constraints were checked")
    return evidence_filter(for_chosen, for_rejected, rule) is not None


def is_seconded(chosen: Judgment, rejected: Judgment, scores: Mapping[str, float | None]) -> bool:
    """Return whether the second judge orders the two the same way. A judge without a verdict agrees with nobody."""
    high, low = scores.get(answer_key(chosen)), scores.get(answer_key(rejected))
    return high is not None and low is not None and high > low


def read_second_scores(path: Path, judgments: Iterable[Judgment]) -> Mapping[str, float | None]:
    """Return the scores of a second judge by `answer_key`.

    Raises InputError if the file has no judgment on these responses, has several judges, or is by the same judge.
    """
    rows = GroupedRows(Judgment)
    for judgment in read_typed(path, Judgment, BadRows()):
        rows.put(judgment, "", judgment.id)
    wanted, first = DiskSet(), None
    for judgment in judgments:
        first = first or judgment
        wanted.add(answer_key(judgment))
    scores: DiskDict[float | None] = DiskDict()
    judges = set()
    for judgment in rows:
        if (key := answer_key(judgment)) in wanted:
            scores[key] = judgment.score
            judges.add(judgment.judge)
    if first and not judges:
        raise InputError(f"{path}: has no judgment on these responses; score the same file with the second judge")
    if len(judges) > 1:
        raise InputError(f"{path}: the judgments are of {len(judges)} judges or rubrics: use one")
    if first and judges == {first.judge}:
        raise InputError(f"{path}: is by the same judge, which always agrees with itself")
    return scores


def widest_of(pairs: list[Pair] | DiskRows[Pair], share: float, seed: int) -> Iterator[Pair]:
    """Yield the `share` of the pairs with the widest margins, rounded up, in their order.

    Of equal margins those stay that `seed` and the prompt draw. A pair whose sides people swapped counts with the size
    of its margin.
    """
    ranks = DiskRanks()
    for pair in pairs:
        ranks.append((-abs(pair.margin or 0.0), derived_seed("widest", seed, pair.prompt_id), pair.prompt_id))
    return _numbered(pairs, ranks.first(math.ceil(share * len(pairs) - 1e-9)))  # 0.1 * 30 is a little more than 3


def within_share(pairs: Iterable[Pair], max_share: float, step: float, seed: int) -> Iterator[Pair]:
    """Yield `pairs` without the surplus pairs of frequent chosen scores.

    Chosen scores are rounded to `step`. No class of scores is then more than `max_share` of the remaining pairs, or
    more than 1 / k if there are only k classes, which is as even as k classes can be. The pairs that stay are drawn by
    `seed` and the prompt, independently of the order. NVIDIA's Meta-Rewarding used 0.4.
    """
    ranks = DiskRanks()
    for pair in pairs:
        assert pair.chosen_score is not None
        rank = (0.0, derived_seed("score share", seed, pair.prompt_id), pair.prompt_id)
        ranks.append(rank, round(pair.chosen_score / step))
    sizes = ranks.sizes()
    return _numbered(pairs, ranks.first(largest_class(sizes, max_share))) if sizes else iter(())


def _numbered(pairs: Iterable[Pair], numbers: Iterator[int]) -> Iterator[Pair]:
    """Yield the pairs with these numbers, which ascend from 0."""
    wanted = next(numbers, None)
    for number, pair in enumerate(pairs):
        if number == wanted:
            yield pair
            wanted = next(numbers, None)


def largest_class(sizes: Sequence[int], max_share: float) -> int:
    """Return the largest m such that, with every class cut to m, none is more than `max_share` of all that remain."""
    share = max(max_share, 1 / len(sizes))
    for m in range(max(sizes), 0, -1):
        cut_sizes = [min(size, m) for size in sizes]
        if max(cut_sizes) <= share * sum(cut_sizes) + 1e-9:
            return m
    return 1


def rubric_of(judgments: Iterable[Judgment]) -> Rubric:
    """Return the rubric of the judgments, at least one. Raises InputError if this project does not have it."""
    name = next(iter(judgments)).rubric
    try:
        return load_rubric(name)
    except InputError:
        raise InputError(f"the rubric '{name}' is not one of this project's, so its scale is not known") from None


def score_step(judgments: Iterable[Judgment]) -> float:
    """Return the smallest distance between two verdicts on the rubric of the judgments."""
    return step_of(rubric_of(judgments))
