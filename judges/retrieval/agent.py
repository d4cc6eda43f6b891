"""The judge as an agent with tools: it decides which tool fits an answer, uses it, and keeps what it found.

options = EvidenceOptions(corpus=Path("docs"), search="hybrid")
search = open_search(options)
for evidence in gather(engine, responses, search, options):
    score, reason = verified_score(evidence, rubric_score, 0, 5, options.verify)
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from engines.protocol import Engine
from judges.judging.question import load_question
from judges.retrieval.claims import CLAIMS_VERSION, SAMPLING, Claims, ask_for_claims, claims_of_sentences
from judges.retrieval.equations import EQUATIONS_VERSION
from judges.retrieval.options import EvidenceOptions
from judges.retrieval.rows import CheckedClaim, ClaimsFrom, Evidence
from judges.retrieval.search.search import Search
from judges.retrieval.tools import Decision, check_arithmetic, choose_tools
from judges.retrieval.verifier import Verifier
from judges.retrieval.verify import open_verifier, verify
from records.keys import content_key
from records.rows import Response, Usage

HERE = Path(__file__).parent
WINDOW = 16
"""Responses whose claims are verified in one call, so that an in-process engine can batch them."""
EMPTY = "the response is empty"
NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Agent:
    """An engine with a search and a verifier; make it with `open_agent`."""

    engine: Engine
    search: Search | None
    verifier: Verifier
    options: EvidenceOptions

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of everything that changes a row: weights, corpus, search, questions, versions, settings."""
        options = self.options
        questions = [load_question(name, HERE).identity for name in ("tool", "claims")]
        sampling = (SAMPLING.max_new_tokens, SAMPLING.temperature, SAMPLING.top_p)
        settings = (options.k, options.tool, options.claims, options.max_claims)
        found_by = self.search.digest if self.search else None
        versions = (CLAIMS_VERSION, EQUATIONS_VERSION)
        return content_key(self.engine.digest, found_by, self.verifier.digest, questions, sampling, settings, versions)

    def evidence_id(self, response: Response) -> str:
        """Return the key under which the evidence on `response` is stored."""
        texts = (response.prompt, response.response, response.reference)
        return content_key("evidence", self.fingerprint, response.id, *texts)

    def gather(
        self, responses: Sequence[Response], done: Collection[str] = (), unfinished: Mapping[str, Evidence] = NOTHING
    ) -> Iterator[Evidence]:
        """Yield the evidence on each response whose evidence id is not in `done`, window by window, in order.

        `unfinished` has stored rows by id for which calls failed: only what these lack is asked for. Raises EngineError
        where the search or the engine gives nothing at all.
        """
        for start in range(0, len(responses), WINDOW):
            window = responses[start : start + WINDOW]
            ids = [self.evidence_id(response) for response in window]
            skip = {index for index, row_id in enumerate(ids) if row_id in done}
            before = {i: unfinished[row_id] for i, row_id in enumerate(ids) if row_id in unfinished and i not in skip}
            for row in self._window(window, skip, before):
                earlier = unfinished.get(row.id)
                yield replace(row, usage=earlier.usage + row.usage) if earlier else row

    def _window(self, window: Sequence[Response], skip: set[int], before: dict[int, Evidence]) -> Iterator[Evidence]:
        empty = {index for index, response in enumerate(window) if not response.response.strip()} - skip
        chosen = {index: Decision(row.tool, row.tool_probabilities) for index, row in before.items() if row.tool}
        listed = {index: _claims_of(row) for index, row in before.items() if row.error is None}
        decisions = chosen | self._decisions(window, skip | empty | chosen.keys())
        to_search = {index for index, decision in decisions.items() if decision.tool == "search"}
        claims = {**listed, **self._claims(window, to_search - listed.keys())}
        checked = self._verified({index: claims[index] for index in to_search if index in claims}, before)
        for index, response in enumerate(window):
            if index in empty:
                yield self._row(response, Decision(None, error=EMPTY), [], None, None)
            elif index in decisions:
                yield self._evidence(response, decisions[index], claims.get(index), checked.get(index, []))

    def _decisions(self, window: Sequence[Response], skip: set[int]) -> dict[int, Decision]:
        if self.options.tool == "auto":
            return dict(choose_tools(self.engine, window, skip)) if len(skip) < len(window) else {}
        return {index: Decision(self.options.tool) for index in range(len(window)) if index not in skip}

    def _claims(self, window: Sequence[Response], wanted: set[int]) -> dict[int, Claims]:
        n = self.options.max_claims
        if self.options.claims == "sentences":
            return {index: claims_of_sentences(window[index], n) for index in sorted(wanted)}
        return dict(ask_for_claims(self.engine, window, set(range(len(window))) - wanted, n)) if wanted else {}

    def _verified(
        self, claims: dict[int, Claims], before: dict[int, Evidence]
    ) -> dict[int, list[tuple[CheckedClaim, Usage]]]:
        """Return the checked claims of each response; all claims go to the search and to the verifier in one call."""
        owners = [(index, text) for index in sorted(claims) for text in claims[index].texts]
        if not owners or self.search is None:
            return {}
        texts = [text for _, text in owners]
        checked: dict[int, list[tuple[CheckedClaim, Usage]]] = {}
        found = self.search.search(texts, self.options.k)
        earlier = {(index, claim.claim): claim for index, row in before.items() for claim in row.claims}
        known = [earlier.get(owner) for owner in owners]
        for (index, _), claim in zip(owners, verify(self.verifier, texts, found, known), strict=True):
            checked.setdefault(index, []).append(claim)
        return checked

    def _evidence(
        self, response: Response, decision: Decision, claims: Claims | None, checked: list[tuple[CheckedClaim, Usage]]
    ) -> Evidence:
        if decision.tool == "arithmetic":
            equations, reason = check_arithmetic(response, self.options.max_claims)
            return self._row(response, decision, equations, "equations", reason)
        if claims is None:
            reason = "no tool fits the answer" if decision.tool == "none" else None
            return self._row(response, decision, [], None, reason)
        usage = sum((cost for _, cost in checked), claims.usage)
        verdicts = [claim for claim, _ in checked]
        return self._row(response, decision, verdicts, claims.origin, claims.reason, usage, claims.error)

    def _row(
        self,
        response: Response,
        decision: Decision,
        claims: list[CheckedClaim],
        origin: ClaimsFrom | None,
        reason: str | None,
        usage: Usage | None = None,
        error: str | None = None,
    ) -> Evidence:
        verdicts = [claim.verdict for claim in claims]
        return Evidence(
            id=self.evidence_id(response),
            response_id=response.id,
            prompt=response.prompt,
            response=response.response,
            tool=decision.tool,
            tool_probabilities=decision.probabilities,
            claims=claims,
            claims_from=origin,
            reason=reason,
            n_supported=verdicts.count("supported"),
            n_refuted=verdicts.count("refuted"),
            n_not_enough=verdicts.count("not enough"),
            n_unchecked=verdicts.count(None),
            error=decision.error or error,
            checker=self.fingerprint,
            usage=decision.usage + (usage or Usage()),
        )


def open_agent(engine: Engine, search: Search | None, options: EvidenceOptions) -> Agent:
    """Return the agent that `options` describe; raises InputError or EngineError where its verifier cannot be had."""
    return Agent(engine, search, open_verifier(engine, options), options)


def gather(
    engine: Engine,
    responses: Sequence[Response],
    search: Search | None,
    options: EvidenceOptions,
    done: Collection[str] = (),
) -> Iterator[Evidence]:
    """Yield what was found about each response whose evidence id is not in `done`; see `Agent.gather`."""
    return open_agent(engine, search, options).gather(responses, done)


def had_evidence(evidence: Evidence) -> bool:
    """Return whether a stored row is to be kept on resuming: what a failed call left open is asked again."""
    return evidence.error in (None, EMPTY) and not any(claim.failed for claim in evidence.claims)


def _claims_of(row: Evidence) -> Claims:
    return Claims([claim.claim for claim in row.claims], row.claims_from or "given", row.reason, Usage())
