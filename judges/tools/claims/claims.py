"""Splits an answer into claims: the model lists them, or each sentence is one."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engines.protocol import Completion, Engine, Request, Sampling
from judges.judging.question import Question, load_question
from judges.parsing.verdict import usage_of
from judges.tools.claims.sentences import sentences
from judges.tools.rows import ClaimsFrom
from records.finish import cut_off
from records.rows import Response, Usage, text_of

HERE = Path(__file__).parent
CLAIMS_VERSION = 1
"""Raised when the same reply would be read differently."""
SAMPLING = Sampling(max_new_tokens=400, temperature=0.0, top_p=1.0)
ITEM = re.compile(r"^\s*(?:[-*•–]|\d{1,3}[.)])\s+(.*\S)\s*$")
WORD = re.compile(r"\w+")
LEFT_OUT = "only the first"
"""How a row's reason begins if an answer has more claims than are checked."""
MIN_WORDS = 3
MIN_SHARED = 0.5
"""A claim with a smaller share of words from the request or the answer counts as made up by the model."""


@dataclass(frozen=True)
class Claims:
    """The claims of one answer and their source."""

    texts: list[str]
    origin: ClaimsFrom
    reason: str | None
    """The reason for using sentences, or for missing claims."""
    usage: Usage
    error: str | None = None
    """The reason why the model could not be asked. Asking again may help."""


def ask_for_claims(
    engine: Engine, responses: Sequence[Response], skip: set[int], max_claims: int
) -> Iterator[tuple[int, Claims]]:
    """Yield the claims of each response whose position is not in `skip`, as the engine's replies come."""
    requests = [_request(response) for response in responses]
    for completion in engine.generate(requests, SAMPLING, skip):
        yield completion.index, _read(completion, responses[completion.index], max_claims)


def claims_of_sentences(response: Response, max_claims: int, reason: str | None = None) -> Claims:
    """Return each sentence of the answer that can be a claim, unlike a question or a heading."""
    return _capped(
        [text for text in sentences(response.response) if _can_be_claim(text)], max_claims, "sentences", reason
    )


def parse_claims(reply: str) -> list[str]:
    """Return the lines of a reply that are list items, each once, in order."""
    items = (match[1] for line in reply.splitlines() if (match := ITEM.match(line)))
    return list(dict.fromkeys(item for item in items if _can_be_claim(item)))


def claims_question() -> Question:
    """Return the question that asks a model for the claims of an answer."""
    return load_question("claims", HERE)


def _request(response: Response) -> Request:
    return claims_question().request(prompt=text_of(response.prompt), response=response.response)


def _read(completion: Completion, response: Response, max_claims: int) -> Claims:
    usage = usage_of(completion)
    if completion.error:
        return Claims([], "model", None, usage, completion.error)
    lines = completion.text.splitlines()
    ended = cut_off(completion.finish_reason)
    if ended:
        lines = lines[:-1]  # the last line is cut off
    if [line.strip(" -*•.").upper() for line in lines if line.strip()] == ["NONE"]:
        return Claims([], "model", "the model finds nothing in the answer that can be looked up", usage)
    reasons = [f"the model's list of claims was cut off ({ended})"] if ended else []
    listed = parse_claims("\n".join(lines))
    grounded = [claim for claim in listed if _shared(claim, response) >= MIN_SHARED]
    if not grounded:
        reasons.append(
            "none of the claims that the model lists is the answer's" if listed else "the model lists no claims"
        )
        return _with(claims_of_sentences(response, max_claims, "; ".join(reasons)), usage)
    if len(grounded) < len(listed):
        reasons.append(f"{len(listed) - len(grounded)} claims that the answer does not make are left out")
    return _with(_capped(grounded, max_claims, "model", "; ".join(reasons) or None), usage)


def _with(claims: Claims, usage: Usage) -> Claims:
    return Claims(claims.texts, claims.origin, claims.reason, usage)


def _capped(texts: list[str], max_claims: int, origin: ClaimsFrom, reason: str | None) -> Claims:
    left_out = f"{LEFT_OUT} {max_claims} of {len(texts)} claims are checked" if len(texts) > max_claims else None
    if not texts:
        left_out = "the answer has no sentence that can be a claim"
    reasons = "; ".join(filter(None, (reason, left_out))) or None
    return Claims(texts[:max_claims], origin, reasons, Usage())


def _can_be_claim(text: str) -> bool:
    return len(WORD.findall(text)) >= MIN_WORDS and not text.endswith(("?", "？", ":"))  # a colon ends a heading


def _shared(claim: str, response: Response) -> float:
    """Return the share of a claim's words that occur in the request or the answer."""
    known = set(WORD.findall(f"{text_of(response.prompt)} {response.response}".lower()))
    words = WORD.findall(claim.lower())
    return sum(word in known for word in words) / len(words)
