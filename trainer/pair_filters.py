"""What can be against a pair: its claims, a second judge, people, or that its score is too common."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from console.errors import InputError
from console.progress import say
from records import Judgment, Pair, Vote, answer_key
from records.files import BadRows, checked_file
from records.keys import derived_seed
from records.store import latest
from records.typed import read_typed

if TYPE_CHECKING:
    from judges.rubric import Rubric

EvidenceRule = Literal["any", "no-refuted", "more-supported"]
Preferred = Literal["chosen", "rejected", "neither"]
VotesByPair = Mapping[tuple[str, frozenset[str]], Mapping[str, str | None]]
"""By prompt and the two response ids: what each voter said last, the id of the better response or None for a tie."""


@dataclass(frozen=True)
class Checks:
    """What a pair is held against, read from its files."""

    evidence: EvidenceRule = "any"
    second_scores: Mapping[str, float | None] | None = None
    """The second judge's scores by `answer_key`; None where there is no second judge."""
    votes: VotesByPair | None = None

    def objection(self, chosen: Judgment, rejected: Judgment) -> Literal["refuted", "disagreed"] | None:
        """Return what is against a pair that people have not voted on."""
        if is_refuted(chosen, rejected, self.evidence):
            return "refuted"
        if self.second_scores is not None and not is_seconded(chosen, rejected, self.second_scores):
            return "disagreed"
        return None

    def preferred(self, chosen: Judgment, rejected: Judgment) -> Preferred | None:
        """Return which answer people prefer; None where nobody has voted on the two."""
        return None if self.votes is None else preferred_by_people(self.votes, chosen, rejected)


def open_checks(
    evidence: EvidenceRule, second_judge: Path | None, votes: Path | None, judgments: Sequence[Judgment]
) -> Checks:
    """Return the checks with their files read; raises InputError where one is missing or has nothing to say."""
    return Checks(
        evidence,
        read_second_scores(second_judge, judgments) if second_judge else None,
        _unambiguous(read_votes(votes), judgments, votes) if votes else None,
    )


def is_refuted(chosen: Judgment, rejected: Judgment, rule: EvidenceRule) -> bool:
    """Return whether the evidence is against a pair; raises InputError where there is none to look at."""
    if rule == "any":
        return False
    from judges.evidence import evidence_of
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


def read_votes(path: Path) -> VotesByPair:
    """Return people's votes by the pair that they are about; a voter's last vote on a pair counts."""
    votes: dict[tuple[str, frozenset[str]], dict[str, str | None]] = {}
    if checked_file(path).stat().st_size == 0:
        return votes  # nobody has voted yet
    for vote in read_typed(path, Vote, BadRows()):
        winner = {"a": vote.a_id, "b": vote.b_id, "tie": None}[vote.winner]
        votes.setdefault((vote.prompt_id, frozenset((vote.a_id, vote.b_id))), {})[vote.voter] = winner
    return votes


def _unambiguous(votes: VotesByPair, judgments: Sequence[Judgment], path: Path) -> VotesByPair:
    """Return the votes without those on an id that several answers have: they cannot say which one is meant."""
    owners: dict[tuple[str, str], set[str]] = {}
    for judgment in judgments:
        owners.setdefault((judgment.prompt_id, judgment.response_id), set()).add(answer_key(judgment))
    kept = {
        (prompt_id, ids): said
        for (prompt_id, ids), said in votes.items()
        if not any(len(owners.get((prompt_id, one), ())) > 1 for one in ids)
    }
    if n_lost := len(votes) - len(kept):
        say(f"{path}: left out: the votes on {n_lost} pairs, because several answers to the prompt have the same id")
    return kept


def preferred_by_people(votes: VotesByPair, chosen: Judgment, rejected: Judgment) -> Preferred | None:
    """Return what most voters prefer, `neither` where they are even; None where nobody voted on these two."""
    key = (chosen.prompt_id, frozenset((chosen.response_id, rejected.response_id)))
    if not (said := votes.get(key)):
        return None
    counts = Counter(said.values())
    lead = counts[chosen.response_id] - counts[rejected.response_id]
    return "chosen" if lead > 0 else "rejected" if lead < 0 else "neither"


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
    from judges.rubric import load_rubric

    name = judgments[0].rubric
    try:
        return load_rubric(name)
    except InputError:
        raise InputError(f"the rubric '{name}' is not one of this project's, so its scale is not known") from None


def score_step(judgments: Sequence[Judgment]) -> float:
    """Return the smallest distance between two verdicts on the rubric of the judgments."""
    from judges.agreement import step_of

    return step_of(rubric_of(judgments))
