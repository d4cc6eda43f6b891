"""Scores from checked claims and constraints: a metric, or a cap on the rubric's score. Also the filter of pairs.

A claim is supported, refuted, or there is not enough evidence. The rules of claims treat the last case in different
ways, each as its source does. A claim without a verdict counts nowhere. A constraint is followed, broken, or cannot be
checked.
"""

import math
from collections import Counter
from collections.abc import Iterable
from typing import Literal

from console.output import counted
from console.table import Cell
from judges.tools.options import CLAIM_RULES, CONSTRAINT_RULES, VerifyRule
from judges.tools.rows import Evidence

GAMMA = 10
"""Answers with fewer claims are penalised, as in FActScore's released code."""

FORMS = ("constraints named", "followed", "broken", "not checkable", "answers that follow all")
"""Columns of the constraints in the summary."""

PairRule = Literal["no-refuted", "more-supported"]


def factscore(n_supported: int, n_refuted: int, n_not_enough: int, gamma: int = GAMMA) -> float | None:
    """Return the share of supported claims, times exp(1 - gamma / n) for n < gamma claims, or None if n = 0.

    `not enough` counts as not supported: the score is precision with respect to the corpus. FActScore
    (arXiv 2305.14251) with the penalty of its released code.
    """
    share = precision_of(n_supported, n_refuted, n_not_enough)
    if share is None:
        return None
    n = n_supported + n_refuted + n_not_enough
    return share * math.exp(min(0.0, 1 - gamma / n))  # min: no reward beyond gamma claims


def precision_of(n_supported: int, n_refuted: int, n_not_enough: int) -> float | None:
    """Return the share of supported claims, or None without claims. `not enough` counts as not supported."""
    n = n_supported + n_refuted + n_not_enough
    return n_supported / n if n else None


def f1_at_k(n_supported: int, n_refuted: int, n_not_enough: int, k: int) -> float | None:
    """Return the harmonic mean of the share of supported claims and min(supported / k, 1), or None without claims.

    `not enough` counts as not supported. SAFE (arXiv 2403.18802): F1@K, which is 0 if no claim is supported.
    """
    precision = precision_of(n_supported, n_refuted, n_not_enough)
    if not precision:  # there are no claims, or none is supported
        return precision
    recall = min(n_supported / k, 1.0)
    return 2 * precision * recall / (precision + recall)


def highest_score(n_supported: int, n_refuted: int, low: float, high: float) -> float:
    """Return low + (high - low) times the share of supported among the decided claims, or `high` if none is decided.

    Of constraints it is the share of those followed. `not enough` counts neither for nor against, because a silent
    corpus is not the answer's fault.
    """
    n_decided = n_supported + n_refuted
    return high if n_decided == 0 else low + (high - low) * n_supported / n_decided


def verified_score(
    evidence: Evidence, rubric_score: float | None, low: float, high: float, rule: VerifyRule, f1_k: int = 10
) -> tuple[float | None, str | None]:
    """Return the score on the rubric's scale after claims or constraints were checked, or None and the reason for it.

    cap: the rubric's score, or the highest that the decided claims or constraints allow if that is lower. factscore,
    f1: the metric replaces the rubric's score, and needs claims. share, strict: the share of constraints followed, or
    all or nothing, replaces it. An answer that fits no tool keeps the rubric's score under every rule, and the evidence
    records it. A rule that does not fit the tool that the model chose for the answer gives way to cap.
    """
    rule = rule_for(evidence, rule)
    if evidence.tool == "constraints":
        return _constraint_score(evidence, rubric_score, low, high, rule)
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


def rule_for(evidence: Evidence, rule: VerifyRule) -> VerifyRule:
    """Return the rule by which an answer is scored: `rule`, or cap if it does not fit the tool."""
    return rule if rule in (CONSTRAINT_RULES if evidence.tool == "constraints" else CLAIM_RULES) else "cap"


def _constraint_score(
    evidence: Evidence, rubric_score: float | None, low: float, high: float, rule: VerifyRule
) -> tuple[float | None, str | None]:
    if evidence.error:
        return None, f"the constraints could not be checked: {evidence.error}"
    n_obeyed, n_disobeyed = evidence.n_obeyed, evidence.n_disobeyed
    if rule == "cap":
        if rubric_score is None:
            return None, "the judge gave no score to cap"
        return min(rubric_score, highest_score(n_obeyed, n_disobeyed, low, high)), None
    if n_obeyed + n_disobeyed == 0:
        why = evidence.constraints[0].reason if evidence.constraints else evidence.reason
        return None, f"no constraint can be checked: {why}"
    if rule == "share":
        return highest_score(n_obeyed, n_disobeyed, low, high), None
    # Also if another is broken: else such prompts had failures alone with a score, and a broken answer would be best.
    if unknown := [checked.reason for checked in evidence.constraints if checked.strict is None]:
        n_all = counted(len(evidence.constraints), "constraints")
        return None, f"{len(unknown)} of {n_all} cannot be checked: {unknown[0]}"
    return low if n_disobeyed else high, None


def evidence_filter(chosen: Evidence, rejected: Evidence, rule: PairRule) -> str | None:
    """Return the reason to drop a pair, or None to keep it.

    no-refuted: no claim of the chosen answer is refuted, and it breaks no constraint. more-supported: moreover, if both
    answers have decided claims or constraints, the share of supported or followed ones is higher in the chosen answer.
    An error on either side drops the pair, because unchecked claims are no reason to trust it.
    """
    for side, evidence in (("chosen", chosen), ("rejected", rejected)):
        failed = next((claim.reason for claim in evidence.claims if claim.failed), None)
        if error := evidence.error or failed:
            what = "constraints" if evidence.tool == "constraints" else "claims"
            return f"the {side} answer's {what} could not be checked: {error}"
    if chosen.n_refuted:
        wrong = next(claim.claim for claim in chosen.claims if claim.verdict == "refuted")
        return f"{chosen.n_refuted} of the chosen answer's claims are refuted, such as: {wrong}"
    if chosen.n_disobeyed:
        return f"the chosen answer breaks {chosen.n_disobeyed} of {counted(len(chosen.constraints), 'constraints')}"
    if rule == "no-refuted":
        return None
    shares = [_supported_share(evidence) for evidence in (chosen, rejected)]
    if None not in shares and shares[0] <= shares[1]:  # type: ignore[operator]
        what = " follows no more constraints" if chosen.constraints else "'s claims are no better supported"
        return f"the chosen answer{what}: {shares[0]:.2f} against {shares[1]:.2f}"
    return None


def evidence_summary(rows: Iterable[Evidence]) -> dict[str, Cell]:
    """Return a table row: the number of answers per tool, and of claims and constraints per verdict.

    Claims and constraints have columns if there are answers whose tool checks them.
    """
    general = Counter(dict.fromkeys(("answers", "search", "arithmetic", "constraints", "none", "failed"), 0))
    claims = Counter(dict.fromkeys(("claims", "from sentences", "supported", "refuted", "not enough", "unchecked"), 0))
    forms = Counter(dict.fromkeys(FORMS, 0))
    for evidence in rows:
        general["answers"] += 1
        if evidence.tool:
            general[evidence.tool] += 1
        general["failed"] += evidence.error is not None
        claims["claims"] += len(evidence.claims)
        claims["from sentences"] += len(evidence.claims) if evidence.claims_from == "sentences" else 0
        claims["supported"] += evidence.n_supported
        claims["refuted"] += evidence.n_refuted
        claims["not enough"] += evidence.n_not_enough
        claims["unchecked"] += evidence.n_unchecked
        n_named = len(evidence.constraints)
        outcomes = (n_named, evidence.n_obeyed, evidence.n_disobeyed, evidence.n_not_checkable)
        forms.update(dict(zip(FORMS, (*outcomes, 0 < evidence.n_obeyed == n_named), strict=True)))
    # no columns of a check that nobody asked for
    if not general["constraints"]:
        del general["constraints"]
        return {**general, **claims}
    # only constraints were checked, so the columns of claims would be zeros
    if general["constraints"] + general["failed"] >= general["answers"]:
        return {"answers": general["answers"], "failed": general["failed"], **forms}
    return {**general, **claims, **forms}


def _supported_share(evidence: Evidence) -> float | None:
    n_for = evidence.n_supported + evidence.n_obeyed
    n_decided = n_for + evidence.n_refuted + evidence.n_disobeyed
    return n_for / n_decided if n_decided else None
