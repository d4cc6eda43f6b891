"""Scores from checked claims: FActScore, F1@K, or a cap on the rubric's score. Also the filter of pairs by claims.

A claim is supported, refuted, or there is not enough evidence. The three rules treat the last case in different ways,
each as its source does. A claim without a verdict counts nowhere.
"""

import math
from collections.abc import Iterable
from typing import Literal

from console.table import Cell
from judges.tools.options import VerifyRule
from judges.tools.rows import Evidence

GAMMA = 10
"""Answers with fewer claims are penalised, as in FActScore's released code."""

PairRule = Literal["no-refuted", "more-supported"]


def factscore(n_supported: int, n_refuted: int, n_not_enough: int, gamma: int = GAMMA) -> float | None:
    """Return the share of supported claims, times exp(1 - gamma / n) for n < gamma claims, or None if n = 0.

    `not enough` counts as not supported: the score is precision with respect to the corpus. FActScore
    (arXiv 2305.14251) with the penalty of its released code.
    """
    n = n_supported + n_refuted + n_not_enough
    if n == 0:
        return None
    return n_supported / n * math.exp(min(0.0, 1 - gamma / n))


def f1_at_k(n_supported: int, n_refuted: int, n_not_enough: int, k: int) -> float | None:
    """Return the harmonic mean of the share of supported claims and min(supported / k, 1), or None without claims.

    `not enough` counts as not supported. SAFE (arXiv 2403.18802): F1@K, which is 0 if no claim is supported.
    """
    n = n_supported + n_refuted + n_not_enough
    if n == 0:
        return None
    if n_supported == 0:
        return 0.0
    precision, recall = n_supported / n, min(n_supported / k, 1.0)
    return 2 * precision * recall / (precision + recall)


def highest_score(n_supported: int, n_refuted: int, low: float, high: float) -> float:
    """Return low + (high - low) times the share of supported among the decided claims, or `high` if none is decided.

    `not enough` counts neither for nor against, because a silent corpus is not the answer's fault.
    """
    n_decided = n_supported + n_refuted
    return high if n_decided == 0 else low + (high - low) * n_supported / n_decided


def verified_score(
    evidence: Evidence, rubric_score: float | None, low: float, high: float, rule: VerifyRule, f1_k: int = 10
) -> tuple[float | None, str | None]:
    """Return the score on the rubric's scale after the claims were checked, or None and the reason for it.

    cap: the rubric's score, or the highest that the decided claims allow if that is lower. factscore, f1: the metric
    replaces the rubric's score, and needs claims. An answer that fits no tool keeps the rubric's score under every
    rule, and the evidence records it.
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
    """Return the reason to drop a pair, or None to keep it.

    no-refuted: no claim of the chosen answer is refuted. more-supported: moreover, if both answers have decided
    claims, the share of supported ones is higher in the chosen answer. An error on either side drops the pair, because
    unchecked claims are no reason to trust it.
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


def evidence_summary(rows: Iterable[Evidence]) -> dict[str, Cell]:
    """Return a table row: the number of answers per tool, and the number of claims per verdict."""
    names = ("search", "arithmetic", "none", "failed", "claims", "from sentences")
    counts = dict.fromkeys(("answers", *names, "supported", "refuted", "not enough", "unchecked"), 0)
    for evidence in rows:
        counts["answers"] += 1
        if evidence.tool:
            counts[evidence.tool] += 1
        counts["failed"] += evidence.error is not None
        counts["claims"] += len(evidence.claims)
        counts["from sentences"] += len(evidence.claims) if evidence.claims_from == "sentences" else 0
        counts["supported"] += evidence.n_supported
        counts["refuted"] += evidence.n_refuted
        counts["not enough"] += evidence.n_not_enough
        counts["unchecked"] += evidence.n_unchecked
    return dict(counts)


def _supported_share(evidence: Evidence) -> float | None:
    n_decided = evidence.n_supported + evidence.n_refuted
    return evidence.n_supported / n_decided if n_decided else None
