"""What can be against a pair: its claims, a second judge, people, or that its score is too common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from console.errors import InputError
from records import Judgment, Pair, answer_key
from records.fields.typed import read_typed
from records.files import BadRows
from records.keys import derived_seed
from records.store import latest
from trainer.pairs.votes import Preferred, Votes, read_votes, votes_on

if TYPE_CHECKING:
    from judges.rubrics.rubric import Rubric

__all__ = [
    "Checks",
    "EvidenceRule",
    "is_refuted",
    "is_seconded",
    "largest_class",
    "open_checks",
    "read_second_scores",
    "read_votes",
    "score_step",
    "within_share",
]

EvidenceRule = Literal["any", "no-refuted", "more-supported"]


@dataclass(frozen=True)
class Checks:
    """What a pair is held against, read from its files."""

    evidence: EvidenceRule = "any"
    second_scores: Mapping[str, float | None] | None = None
    """The second judge's scores by `answer_key`; None where there is no second judge."""
    votes: Votes | None = None

    def objection(self, chosen: Judgment, rejected: Judgment) -> Literal["refuted", "disagreed"] | None:
        """Return what is against a pair that people have not voted on."""
        if is_refuted(chosen, rejected, self.evidence):
            return "refuted"
        if self.second_scores is not None and not is_seconded(chosen, rejected, self.second_scores):
            return "disagreed"
        return None

    def preferred(self, chosen: Judgment, rejected: Judgment) -> Preferred | None:
        """Return which answer people prefer; None where nobody has voted on the two."""
        return None if self.votes is None else self.votes.preferred(chosen, rejected)


def open_checks(
    evidence: EvidenceRule, second_judge: Path | None, votes: Path | None, judgments: Sequence[Judgment]
) -> Checks:
    """Return the checks with their files read; raises InputError where one is missing or has nothing to say."""
    return Checks(
        evidence,
        read_second_scores(second_judge, judgments) if second_judge else None,
        votes_on(votes, judgments) if votes else None,
    )


def is_refuted(chosen: Judgment, rejected: Judgment, rule: EvidenceRule) -> bool:
    """Return whether the evidence is against a pair; raises InputError where there is none to look at."""
    if rule == "any":
        return False
    from judges.retrieval.evidence import evidence_of
    from judges.retrieval.scores import evidence_filter

    for_chosen, for_rejected = evidence_of(chosen), evidence_of(rejected)
    if for_chosen is None or for_rejected is None:
        raise InputError(f"pairs.evidence = '{rule}' needs judgments whose claims were looked up: a corpus")
    return evidence_filter(for_chosen, for_rejected, rule) is not None


def is_seconded(chosen: Judgment, rejected: Judgment, scores: Mapping[str, float | None]) -> bool:
    """Return whether the second judge orders the two the same way; one without a verdict agrees with nobody."""
    high, low = scores.get(answer_key(chosen)), scores.get(answer_key(rejected))
    return high is not None and low is not None and high > low


def read_second_scores(path: Path, judgments: Sequence[Judgment]) -> dict[str, float | None]:
    """Return the scores of a second judge by `answer_key`.

    Raises InputError where the file has no judgment on these responses, has several judges, or is by the same judge.
    """
    rows = latest(read_typed(path, Judgment, BadRows()))
    wanted = set(map(answer_key, judgments))
    found = [row for row in rows if answer_key(row) in wanted]
    if judgments and not found:
        raise InputError(f"{path}: holds no judgment on these responses; score the same file with the second judge")
    if len(judges := {row.judge for row in found}) > 1:
        raise InputError(f"{path}: the judgments are of {len(judges)} judges or rubrics: use one")
    if judgments and judges == {judgments[0].judge}:
        raise InputError(f"{path}: is by the same judge, which always agrees with itself")
    return {answer_key(row): row.score for row in found}


def within_share(pairs: Sequence[Pair], max_share: float, step: float, seed: int) -> list[Pair]:
    """Return `pairs` without some of those whose chosen score is too common.

    Chosen scores are rounded to `step`. No class of them is then more than `max_share` of what is left, or more than
    1 / k where there are only k classes, which is as even as they can be. Which pairs of a class stay is drawn by
    `seed` and the prompt, and does not depend on the order. NVIDIA's Meta-Rewarding used 0.4.
    """
    classes: dict[int, list[Pair]] = {}
    for pair in pairs:
        assert pair.chosen_score is not None
        classes.setdefault(round(pair.chosen_score / step), []).append(pair)
    if not classes:
        return []
    limit = largest_class([len(members) for members in classes.values()], max_share)
    kept = set()
    for members in classes.values():
        drawn = sorted(members, key=lambda pair: (derived_seed("score share", seed, pair.prompt_id), pair.prompt_id))
        kept |= {id(pair) for pair in drawn[:limit]}
    return [pair for pair in pairs if id(pair) in kept]


def largest_class(sizes: Sequence[int], max_share: float) -> int:
    """Return the largest m so that, with every class cut to m, none is more than `max_share` of the rest together."""
    share = max(max_share, 1 / len(sizes))
    for m in range(max(sizes), 0, -1):
        kept = [min(size, m) for size in sizes]
        if max(kept) <= share * sum(kept) + 1e-9:
            return m
    return 1


def rubric_of(judgments: Sequence[Judgment]) -> "Rubric":
    """Return the rubric of the judgments; raises InputError where it is not one of this project's."""
    from judges.rubrics.rubric import load_rubric

    name = judgments[0].rubric
    try:
        return load_rubric(name)
    except InputError:
        raise InputError(f"the rubric '{name}' is not one of this project's, so its scale is not known") from None


def score_step(judgments: Sequence[Judgment]) -> float:
    """Return the smallest distance between two verdicts on the rubric of the judgments."""
    from judges.panels.agreement import step_of

    return step_of(rubric_of(judgments))
