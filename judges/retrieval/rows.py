"""What was looked up about one answer, as a row that is readable alone."""

from typing import Literal

import msgspec

from records.rows import Message, Row, Usage

Tool = Literal["search", "arithmetic", "none"]
Verdict = Literal["supported", "refuted", "not enough"]
ClaimsFrom = Literal["model", "sentences", "equations", "given"]


class Stance(Row, frozen=True, kw_only=True):
    """What one passage says about one claim."""

    passage_id: str
    title: str | None = None
    score: float | None = None
    """The search's own score: BM25, cosine, or reciprocal ranks; scores of different searches do not compare."""
    stance: Verdict | None
    probabilities: dict[str, float] | None = None
    """Over the three stances; they sum to 1."""
    mass: float | None = None
    """The probability that the verifier gave to the three taken together."""
    error: str | None = None
    """Why there is no stance."""

    @property
    def failed(self) -> bool:
        """Whether the call failed: asking again may help. A reply that says too little has a mass."""
        return self.error is not None and self.mass is None


class Quote(Row, frozen=True, kw_only=True):
    """The words that decided a claim."""

    passage_id: str
    title: str | None = None
    text: str
    url: str | None = None


class CheckedClaim(Row, frozen=True, kw_only=True):
    """One claim of an answer and what was found about it."""

    claim: str
    verdict: Verdict | None
    """None where it could not be checked."""
    probabilities: dict[str, float] | None = None
    """Of the passage that decided, or that came nearest to deciding."""
    quote: Quote | None = None
    """None where nothing decided."""
    passages: list[Stance] = msgspec.field(default_factory=list)
    """Every passage that was looked at, in the search's order."""
    reason: str | None = None
    """Why there is no verdict, or why it is `not enough` without a passage; or None."""

    @property
    def failed(self) -> bool:
        """Whether a passage could not be asked about, so that the others do not settle the claim."""
        return any(stance.failed for stance in self.passages)


class Evidence(Row, frozen=True, kw_only=True):
    """What was looked up about one answer."""

    id: str
    response_id: str
    prompt: str | list[Message]
    response: str
    tool: Tool | None
    """None where the model could not be asked."""
    tool_probabilities: dict[str, float] | None = None
    """None where the tool was chosen by a flag."""
    claims: list[CheckedClaim] = msgspec.field(default_factory=list)
    claims_from: ClaimsFrom | None = None
    reason: str | None = None
    """Why the claims are sentences, or why there are none."""
    n_supported: int = 0
    n_refuted: int = 0
    n_not_enough: int = 0
    n_unchecked: int = 0
    """Claims without a verdict; where a call for one of them failed, the next run asks again for what is missing."""
    error: str | None = None
    """Why the answer could not be checked; every count is then 0 and says nothing."""
    checker: str
    """The fingerprint of everything that changes this row: model, corpus, search, prompts, settings."""
    usage: Usage
