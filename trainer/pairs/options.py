"""Filters and limits of the pairs, as flags and as sections of a recipe."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from console.ranges import Count, FlipShare, NotNegative, ShareAbove0, ShareBelow1, check_ranges

EvidenceRule = Literal["any", "no-refuted", "more-supported"]


@dataclass(frozen=True)
class PairOptions:
    """Filters and weights of preference pairs."""

    min_margin: NotNegative = 0.0
    """Drop a pair whose scores differ by no more than this. 0 drops only ties."""
    widest: ShareAbove0 = 1.0
    """Keep only this share of the pairs, those with the widest margins. A rank needs no scale: a model's expected
    scores may all lie within a fraction of a point. 1 keeps all."""
    evidence: EvidenceRule = "any"
    """Drop a pair whose chosen answer has a refuted claim or a broken constraint (no-refuted), or is also no better
    supported, or follows no more constraints, than the rejected one (more-supported). Needs judgments with evidence."""
    rho: FlipShare = 0.0
    """Length control, 0 to 0.5: choose the shortest answer within rho of the best score, and reject the longest answer
    within rho of the worst, as shares of the distance between the two. 0 takes the best and the worst."""
    max_score_share: ShareAbove0 = 1.0
    """Drop pairs, drawn by the seed, until no chosen score makes up more than this share of them. 1 keeps all."""
    votes: Path | None = None
    """People's votes.jsonl. They override the evidence and the second judge."""
    on_vote: Literal["drop", "overrule"] = "drop"
    """Effect of a vote for the rejected answer: drop the pair, or swap its sides. A vote for neither drops it."""
    second_judge: Path | None = None
    """Another judge's judgments of the same responses: drop a pair that it orders differently."""
    weight: Literal["one", "confidence"] = "one"
    """The pair's weight in the loss: 1, or 2 c - 1 for a confidence c (at least 0, and 1 if c is unknown)."""


@dataclass(frozen=True)
class MetaOptions:
    """Limits on the pairs of judgments that are compared and trained on."""

    max_chars: Count = 2000
    """Drop a longer judgment before the comparison, because meta-judges prefer length."""
    max_share: ShareBelow1 = 0.15
    """The largest share of pairs of judgments in the training set. With more, judges learn to give every answer the
    highest score (NVIDIA's report on their implementation)."""


def check_pair_options(options: PairOptions) -> None:
    """Raise InputError if an option is out of range."""
    check_ranges(options)
