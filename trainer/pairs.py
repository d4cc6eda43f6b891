"""Judgments -> preference pairs: the best-scored answer to a prompt against the worst (Self-Rewarding, section 2.3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from console.errors import InputError
from judges.evidence import evidence_of
from judges.retrieval.scores import evidence_filter
from records import Judgment, Pair, messages_of


@dataclass(frozen=True)
class PairOptions:
    """Which pairs are good enough to train on."""

    min_margin: float = 0.0
    """Drop a pair whose scores are not further apart than this; 0 drops only ties."""
    evidence: Literal["any", "no-refuted", "more-supported"] = "any"
    """Drop a pair whose chosen answer has a refuted claim (no-refuted), or whose chosen answer's claims are no better
    supported than the rejected one's (more-supported); needs judgments whose claims were looked up."""


@dataclass(frozen=True)
class PairCounts:
    """What became of the prompts; they add up: n_prompts = n_pairs + n_tied + n_too_few + n_refuted."""

    n_prompts: int
    n_pairs: int
    n_tied: int
    """The margin is too small, or best and worst are the same text."""
    n_too_few: int
    """Fewer than two answers have a score."""
    n_refuted: int
    """The evidence is against the pair."""
    n_unscored: int
    """Answers without a score; they are never chosen and never rejected."""


def make_pairs(judgments: Sequence[Judgment], options: PairOptions) -> tuple[list[Pair], PairCounts]:
    """Return at most one pair a prompt, in the order of the prompts, and what became of the others.

    Raises InputError where the judgments are of two judges or rubrics: their scores do not compare.
    """
    if options.min_margin < 0:
        raise InputError(f"min_margin must be 0 or more, not {options.min_margin}")
    if len(judges := {judgment.judge for judgment in judgments}) > 1:
        raise InputError(f"the judgments are of {len(judges)} judges or rubrics, whose scores do not compare: use one")
    by_prompt: dict[str, list[Judgment]] = {}
    for judgment in judgments:
        by_prompt.setdefault(judgment.prompt_id, []).append(judgment)
    pairs, n_tied, n_too_few, n_refuted = [], 0, 0, 0
    for answers in by_prompt.values():
        scored = [(judgment.score, judgment) for judgment in answers if judgment.score is not None]
        if len(scored) < 2:
            n_too_few += 1
            continue
        (high, best), (low, worst) = max(scored, key=_score), min(scored, key=_score)
        if high - low <= options.min_margin or best.response == worst.response:
            n_tied += 1
            continue
        if _is_refuted(best, worst, options):
            n_refuted += 1
            continue
        pairs.append(_pair(best, worst, high, low))
    n_unscored = sum(judgment.score is None for judgment in judgments)
    return pairs, PairCounts(len(by_prompt), len(pairs), n_tied, n_too_few, n_refuted, n_unscored)


def _score(scored: tuple[float, Judgment]) -> float:
    return scored[0]


def _is_refuted(best: Judgment, worst: Judgment, options: PairOptions) -> bool:
    """Return whether the evidence is against a pair; raises InputError where there is none to look at."""
    if options.evidence == "any":
        return False
    chosen, rejected = evidence_of(best), evidence_of(worst)
    if chosen is None or rejected is None:
        raise InputError(f"pairs.evidence = '{options.evidence}' needs judgments whose claims were looked up: a corpus")
    return evidence_filter(chosen, rejected, options.evidence) is not None


def _pair(best: Judgment, worst: Judgment, high: float, low: float) -> Pair:
    return Pair(
        prompt=messages_of(best.prompt),
        chosen=[{"role": "assistant", "content": best.response}],
        rejected=[{"role": "assistant", "content": worst.response}],
        prompt_id=best.prompt_id,
        chosen_score=high,
        rejected_score=low,
        margin=high - low,
        judge=best.judge,
        evidence=[best.evidence, worst.evidence] if best.evidence and worst.evidence else None,
    )
