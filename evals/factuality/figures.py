"""A model's figures: FActScore, F1@K and shares of claims, with 95 % intervals over prompts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from judges.intervals.bootstrap import Estimate, Floats, mean_of, proportion_of
from judges.tools.claims.claims import LEFT_OUT
from judges.tools.refusal import is_refusal
from judges.tools.rows import EMPTY, Evidence
from judges.tools.scores import f1_at_k, factscore, precision_of
from records import Response


@dataclass(frozen=True)
class Figures:
    """What one model's answers claim, and what the corpus says of it."""

    model: str
    factscore: Estimate
    """The mean over answers with claims of the share that is supported, lower for few claims (arXiv 2305.14251)."""
    supported: Estimate
    """The same share without that penalty."""
    f1: Estimate
    """The mean of F1@K over all answers. It is 0 for an answer without claims (arXiv 2403.18802)."""
    refuted: Estimate
    """The mean over answers with claims of the share that a passage refutes."""
    responds: Estimate
    """The share of answers with claims. A refusal has none."""
    n_claims: Estimate
    """Claims in an answer, of those that have some."""
    k: int
    """K of F1@K."""
    n_prompts: int
    n_unanswered: int
    n_unchecked: int
    """Answers that could not be checked. They are in no figure."""
    n_claims_unchecked: int
    """Claims without a verdict, of the answers that were checked. They count nowhere."""
    n_from_sentences: int
    """Answers whose sentences are their claims. Of models that differ in this the figures do not compare."""
    n_cut: int
    """Answers with more claims than are checked."""
    reasons: dict[str, int]
    """Why answers could not be checked."""
    values: dict[str, Floats]
    """The figure of each prompt by its name, NaN if unknown, in the order of the prompts."""


def figures_of(
    model: str,
    questions: Sequence[str],
    answers: Mapping[str, Response],
    evidence: Mapping[str, Evidence],
    k: int,
    weights_BN: Floats,
) -> Figures:
    """Return the figures of a model. `answers` and `evidence` are by the prompt's text, `weights_BN` of all prompts.

    A refusal has no evidence and states nothing.
    """
    outcomes = [_outcome(answers.get(key), evidence.get(key), k) for key in questions]
    values = {name: np.array([outcome[name] for outcome in outcomes], dtype=float) for name in MEASURES}
    problems = [problem for key in questions if key in evidence and (problem := problem_of(evidence[key]))]
    checked = [row for row in evidence.values() if problem_of(row) is None]

    def share(name: str) -> Estimate:
        return proportion_of(name, values[name], weights_BN)

    return Figures(
        model=model,
        factscore=share("FActScore"),
        supported=share("supported"),
        f1=share("F1@K"),
        refuted=share("refuted"),
        responds=share("answers with claims"),
        n_claims=mean_of("claims per answer", values["claims per answer"], weights_BN),
        k=k,
        n_prompts=len(questions),
        n_unanswered=sum(key not in answers for key in questions),
        n_unchecked=len(problems),
        n_claims_unchecked=sum(row.n_unchecked for row in checked),
        n_from_sentences=sum(row.claims_from == "sentences" for row in checked),
        n_cut=sum(LEFT_OUT in (row.reason or "") for row in checked),
        reasons=dict(Counter(problems)),
        values=values,
    )


MEASURES = ("FActScore", "supported", "F1@K", "refuted", "answers with claims", "claims per answer")


def problem_of(evidence: Evidence) -> str | None:
    """Return why an answer could not be checked, or None if it was. An empty answer states nothing."""
    if evidence.error is not None:
        return None if evidence.error == EMPTY else evidence.error
    if failed := next((claim.reason for claim in evidence.claims if claim.failed), None):
        return failed
    if evidence.claims and evidence.n_unchecked == len(evidence.claims):
        return evidence.claims[0].reason or "none of the claims could be checked"
    return None


def states_nothing(answer: Response) -> bool:
    """Return whether an answer is not worth checking: it is empty or a refusal, whose sentences are no facts."""
    return not answer.response.strip() or is_refusal(answer.response)


def _outcome(answer: Response | None, evidence: Evidence | None, k: int) -> dict[str, float]:
    """Return each figure of one prompt. NaN means unknown."""
    nothing = dict.fromkeys(MEASURES, np.nan)
    if answer is None:
        return nothing
    if evidence is None or (counts := _counts(evidence)) == (0, 0, 0):
        is_known = evidence is None or problem_of(evidence) is None
        return nothing | ({"F1@K": 0.0, "answers with claims": 0.0} if is_known else {})
    if problem_of(evidence) is not None:
        return nothing
    n = sum(counts)
    values = (factscore(*counts), precision_of(*counts), f1_at_k(*counts, k), counts[1] / n, 1.0, float(n))
    return {name: np.nan if value is None else value for name, value in zip(MEASURES, values, strict=True)}


def _counts(evidence: Evidence) -> tuple[int, int, int]:
    return evidence.n_supported, evidence.n_refuted, evidence.n_not_enough
