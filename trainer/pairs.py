"""Judgments -> preference pairs: the best-scored answer to a prompt against the worst (Self-Rewarding, section 2.3)."""

from collections.abc import Sequence
from dataclasses import dataclass

from console.errors import InputError
from records import Judgment, Pair, messages_of


@dataclass(frozen=True)
class PairOptions:
    """Which pairs are good enough to train on."""

    min_margin: float = 0.0
    """Drop a pair whose scores are not further apart than this; 0 drops only ties."""


@dataclass(frozen=True)
class PairCounts:
    """What became of the prompts; they add up: n_prompts = n_pairs + n_tied + n_too_few."""

    n_prompts: int
    n_pairs: int
    n_tied: int
    """The margin is too small, or best and worst are the same text."""
    n_too_few: int
    """Fewer than two answers have a score."""
    n_unscored: int
    """Answers without a score; they are never chosen and never rejected."""


def make_pairs(judgments: Sequence[Judgment], options: PairOptions) -> tuple[list[Pair], PairCounts]:
    """Return at most one pair a prompt, in the order of the prompts, and what became of the others."""
    if options.min_margin < 0:
        raise InputError(f"min_margin must be 0 or more, not {options.min_margin}")
    by_prompt: dict[str, list[Judgment]] = {}
    for judgment in judgments:
        by_prompt.setdefault(judgment.prompt_id, []).append(judgment)
    pairs, n_tied, n_too_few = [], 0, 0
    for answers in by_prompt.values():
        scored = [(judgment.score, judgment) for judgment in answers if judgment.score is not None]
        if len(scored) < 2:
            n_too_few += 1
            continue
        (high, best), (low, worst) = max(scored, key=_score), min(scored, key=_score)
        if high - low <= options.min_margin or best.response == worst.response:
            n_tied += 1
            continue
        pairs.append(_pair(best, worst, high, low))
    n_unscored = sum(judgment.score is None for judgment in judgments)
    return pairs, PairCounts(len(by_prompt), len(pairs), n_tied, n_too_few, n_unscored)


def _score(scored: tuple[float, Judgment]) -> float:
    return scored[0]


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
    )
