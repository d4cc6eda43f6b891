"""What checked claims make of a score: FActScore, F1@K, or a cap on the rubric's score; and which pairs they allow.

A claim is supported, refuted, or there is not enough to say; the three rules take the last in different ways, each
as its source does. A claim without a verdict counts nowhere.
"""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from judges.retrieval.options import VerifyRule
from judges.retrieval.rows import Evidence

if TYPE_CHECKING:
    from console.table import Cell

GAMMA = 10
"""Answers with fewer claims are marked down, as in FActScore's released code."""

PairRule = Literal["no-refuted", "more-supported"]


def factscore(n_supported: int, n_refuted: int, n_not_enough: int, gamma: int = GAMMA) -> float | None:
    """Return the share of supported claims, times exp(1 - gamma / n) for n < gamma claims; None where n = 0.

    `not enough` counts as not supported: the score is precision with respect to the corpus. FActScore
    (arXiv 2305.14251); the penalty is that of its released code.
    """
    n = n_supported + n_refuted + n_not_enough
    if n == 0:
        return None
    return n_supported / n * math.exp(min(0.0, 1 - gamma / n))


def f1_at_k(n_supported: int, n_refuted: int, n_not_enough: int, k: int) -> float | None:
    """Return the harmonic mean of the share of supported claims and min(supported / k, 1); None without claims.

    `not enough` counts as not supported. SAFE (arXiv 2403.18802): F1@K, 0 where nothing is supported.
    """
    n = n_supported + n_refuted + n_not_enough
    if n == 0:
        return None
    if n_supported == 0:
        return 0.0
    precision, recall = n_supported / n, min(n_supported / k, 1.0)
    return 2 * precision * recall / (precision + recall)


def highest_score(n_supported: int, n_refuted: int, low: float, high: float) -> float:
    """Return low + (high - low) times the share of supported among the decided claims; `high` where none is decided.

    `not enough` counts neither for nor against: that a corpus is silent is not the answer's fault.
    """
    n_decided = n_supported + n_refuted
    return high if n_decided == 0 else low + (high - low) * n_supported / n_decided


def verified_score(
    evidence: Evidence, rubric_score: float | None, low: float, high: float, rule: VerifyRule, f1_k: int = 10
) -> tuple[float | None, str | None]:
    """Return the score on the rubric's scale after the claims were checked, or None and the reason for it.

    cap: the rubric's score, or the highest that the decided claims allow where that is lower. factscore, f1: that
    metric in the rubric's place; without claims there is none. An answer that no tool fits keeps the rubric's score
    under every rule; the evidence says so.
    """
    if evidence.error:
        return None, f"the claims could not be checked: {evidence.error}"
    if failed := [claim for claim in evidence.claims if claim.failed]:
        n = len(evidence.claims)
        return None, f"{len(failed)} of {n} claims could not be checked: {failed[0].reason}"
    if evidence.tool == "none":
        return (rubric_score, None) if rubric_score is not None else (None, "the judge gave no score")
    if evidence.n_unchecked and evidence.n_unchecked == len(evidence.claims):
        return None, f"none of the claims could be checked: {evidence.claims[0].reason}"
    s, r, n = evidence.n_supported, evidence.n_refuted, evidence.n_not_enough
    if rule == "cap":
        if rubric_score is None:
            return None, "the judge gave no score to cap"
        return min(rubric_score, highest_score(s, r, low, high)), None
    value = factscore(s, r, n) if rule == "factscore" else f1_at_k(s, r, n, f1_k)
    if value is None:
        return None, f"no claims: {evidence.reason or 'no tool fits the answer'}"
    return low + (high - low) * value, None


def evidence_filter(chosen: Evidence, rejected: Evidence, rule: PairRule) -> str | None:
    """Return why a pair is to be left out, or None to keep it.

    no-refuted: no claim of the chosen answer is refuted. more-supported: moreover, where both answers have decided
    claims, the share of supported ones is higher in the chosen. What could not be checked is no reason to trust a
    pair: an error on either side leaves it out.
    """
    for side, evidence in (("chosen", chosen), ("rejected", rejected)):
        failed = next((claim.reason for claim in evidence.claims if claim.failed), None)
        if error := evidence.error or failed:
            return f"the {side} answer's claims could not be checked: {error}"
    if chosen.n_refuted:
        wrong = next(claim.claim for claim in chosen.claims if claim.verdict == "refuted")
        return f"{chosen.n_refuted} of the chosen answer's claims are refuted, such as: {wrong}"
    if rule == "no-refuted":
        return None
    shares = [_supported_share(evidence) for evidence in (chosen, rejected)]
    if None not in shares and shares[0] <= shares[1]:  # type: ignore[operator]
        return f"the chosen answer's claims are no better supported: {shares[0]:.2f} against {shares[1]:.2f}"
    return None


def evidence_summary(rows: Iterable[Evidence]) -> "dict[str, Cell]":
    """Return a table row: how many answers each tool was used on, and how many claims came out how."""
    names = ("search", "arithmetic", "none", "failed", "claims", "from sentences")
    counts = dict.fromkeys(("answers", *names, "supported", "refuted", "not enough", "unchecked"), 0)
    for row in rows:
        counts["answers"] += 1
        if row.tool:
            counts[row.tool] += 1
        counts["failed"] += row.error is not None
        counts["claims"] += len(row.claims)
        counts["from sentences"] += len(row.claims) if row.claims_from == "sentences" else 0
        counts["supported"] += row.n_supported
        counts["refuted"] += row.n_refuted
        counts["not enough"] += row.n_not_enough
        counts["unchecked"] += row.n_unchecked
    return dict(counts)


def _supported_share(evidence: Evidence) -> float | None:
    n_decided = evidence.n_supported + evidence.n_refuted
    return evidence.n_supported / n_decided if n_decided else None
