"""The evidence on one answer, as a row that can be read alone."""

from typing import Literal

import msgspec

from judges.tools.constraints.rows import CheckedConstraint
from records.rows import Judgment, Message, Row, Usage

Tool = Literal["search", "arithmetic", "constraints", "none"]
Verdict = Literal["supported", "refuted", "not enough"]
ClaimsFrom = Literal["model", "sentences", "equations", "given"]
ConstraintsFrom = Literal["row", "ask", "file"]
EMPTY = "the response is empty"
"""The error of an answer without a text. There is nothing to ask about it."""
UNREADABLE = "the model's list of constraints cannot be read"
ROW_UNREADABLE = "the row's constraints cannot be read"
"""The starts of errors that asking again would repeat."""
NOT_REPEATED = ("id", "response_id", "prompt", "response")
"""Fields of the evidence that a judgment has anyway."""


class Stance(Row, frozen=True, kw_only=True):
    """The stance of one passage on one claim."""

    passage_id: str
    title: str | None = None
    score: float | None = None
    """The search's score: BM25, cosine, or reciprocal ranks. Scores of different searches do not compare."""
    stance: Verdict | None
    probabilities: dict[str, float] | None = None
    """Over the three stances. They sum to 1."""
    mass: float | None = None
    """The verifier's probability of the three stances together."""
    error: str | None = None
    """The reason for a missing stance."""

    @property
    def failed(self) -> bool:
        """Whether the call failed, so that asking again may help. An indecisive reply has a mass."""
        return self.error is not None and self.mass is None


class Quote(Row, frozen=True, kw_only=True):
    """The words that decided a claim."""

    passage_id: str
    title: str | None = None
    text: str
    url: str | None = None


class CheckedClaim(Row, frozen=True, kw_only=True):
    """One claim of an answer and its evidence."""

    claim: str
    verdict: Verdict | None
    """None if it could not be checked."""
    probabilities: dict[str, float] | None = None
    """The probabilities of the passage that decided, or came nearest to it."""
    quote: Quote | None = None
    """None if no passage decided."""
    passages: list[Stance] = msgspec.field(default_factory=list)
    """Every passage that was read, in the search's order."""
    reason: str | None = None
    """The reason for a missing verdict, or for `not enough` without a passage."""

    @property
    def failed(self) -> bool:
        """Whether the call on a passage failed, so that the other passages do not settle the claim."""
        return any(stance.failed for stance in self.passages)


class Evidence(Row, frozen=True, kw_only=True):
    """The evidence on one answer."""

    id: str
    response_id: str
    prompt: str | list[Message]
    response: str
    tool: Tool | None
    """None if the model could not be asked."""
    tool_probabilities: dict[str, float] | None = None
    """None if a flag chose the tool."""
    claims: list[CheckedClaim] = msgspec.field(default_factory=list)
    claims_from: ClaimsFrom | None = None
    reason: str | None = None
    """The reason for using sentences, or for having no claims or constraints."""
    n_supported: int = 0
    n_refuted: int = 0
    n_not_enough: int = 0
    n_unchecked: int = 0
    """Claims without a verdict. The next run repeats their failed calls."""
    constraints: list[CheckedConstraint] = msgspec.field(default_factory=list)
    constraints_from: ConstraintsFrom | None = None
    n_followed: int = 0
    """On the answer as it is (strict)."""
    n_broken: int = 0
    n_not_checkable: int = 0
    n_followed_loose: int = 0
    """On the best variant of the answer (loose)."""
    n_broken_loose: int = 0
    loose: bool = False
    """Whether the loose outcomes are those that count."""
    error: str | None = None
    """The reason why the answer could not be checked. Every count is then 0 and means nothing."""
    checker: str
    """The fingerprint of everything that changes this row: model, corpus, search, prompts, settings."""
    usage: Usage

    @property
    def n_obeyed(self) -> int:
        """Constraints that are followed, in the reading that counts."""
        return self.n_followed_loose if self.loose else self.n_followed

    @property
    def n_disobeyed(self) -> int:
        """Constraints that are broken, in the reading that counts."""
        return self.n_broken_loose if self.loose else self.n_broken


def evidence_of(judgment: Judgment) -> Evidence | None:
    """Return the evidence on a judgment's response, or None without evidence."""
    if judgment.evidence is None:
        return None
    shared = {"id": judgment.id} | {name: getattr(judgment, name) for name in NOT_REPEATED[1:]}
    return msgspec.convert(judgment.evidence | shared, Evidence)


def is_final(error: str | None) -> bool:
    """Return whether an error, or none, comes of a whole reply, so that asking again would change nothing."""
    return error is None or error.startswith((UNREADABLE, ROW_UNREADABLE))


def had_evidence(evidence: Evidence) -> bool:
    """Return whether a stored row is kept on resuming. Parts left open by a failed call are asked again."""
    return (is_final(evidence.error) or evidence.error == EMPTY) and not any(claim.failed for claim in evidence.claims)
