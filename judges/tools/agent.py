"""The judge as an agent with tools: it chooses the tool for an answer, uses it, and stores the evidence.

options = EvidenceOptions(corpus=Path("docs"), search="hybrid")
search = open_search(options)
for evidence in gather(engine, responses, search, options):
    score, reason = verified_score(evidence, rubric_score, 0, 5, options.verify)
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import msgspec

from console.errors import EngineError
from engines.protocol import Engine, choosing_key
from judges.judging.judge import NOT_ASKED
from judges.tools.arithmetic.equations import EQUATIONS_VERSION
from judges.tools.choice import Decision, check_arithmetic, choose_tools, tool_question
from judges.tools.claims.claims import (
    CLAIMS_VERSION,
    SAMPLING,
    Claims,
    ask_for_claims,
    claims_of_sentences,
    claims_question,
)
from judges.tools.claims.verifier import Verifier
from judges.tools.claims.verify import Stopped, open_verifier, verify
from judges.tools.constraints.asking import Named
from judges.tools.constraints.tool import ConstraintTool, open_tool
from judges.tools.options import EvidenceOptions
from judges.tools.rows import EMPTY, CheckedClaim, ClaimsFrom, Evidence
from judges.tools.search.search import Search, open_search
from records.keys import content_key
from records.rows import Response, Usage, response_key

WINDOW = 16
"""Responses whose claims are verified in one call, so that an in-process engine can batch them."""
LOOKED_UP = ("search", "constraints")
"""Tools that may need calls after the choice."""
NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Agent:
    """An engine with a search and a verifier. `open_agent` makes it."""

    engine: Engine
    search: Search | None
    verifier: Verifier
    constraints: ConstraintTool
    options: EvidenceOptions

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of everything that changes a row: weights, corpus, search, questions, versions, settings.

        The version of the checkers is in the keys of the rows with constraints instead, if the model chooses the tool
        and they come from the rows: rows without constraints have the same evidence with every version.
        """
        options = self.options
        if options.tool == "constraints":
            return content_key("constraints", self.constraints.identity)
        questions = [tool_question().identity, claims_question().identity]
        sampling = (SAMPLING.max_new_tokens, SAMPLING.temperature, SAMPLING.top_p)
        settings = (options.k, options.tool, options.claims, options.max_claims)
        found_by = self.search.digest if self.search else None
        versions = (CLAIMS_VERSION, EQUATIONS_VERSION)
        chosen = choosing_key(self.engine) if options.tool == "auto" else ()
        parts = (self.engine.digest, *chosen, found_by, self.verifier.digest, questions, sampling, settings, versions)
        is_as_in_rows = self.constraints.source == "row" and not self.constraints.loose
        return content_key(*parts, *(() if options.tool != "auto" or is_as_in_rows else self._of_constraints))

    @property
    def _of_constraints(self) -> tuple[object, ...]:
        return (self.constraints.identity, tool_question(constrained=True).identity)

    def evidence_id(self, response: Response) -> str:
        """Return the key under which the evidence on `response` is stored."""
        texts = (response.prompt, response.response, response.reference)
        return content_key("evidence", self.fingerprint, response.id, *texts, *self._own_key(response))

    def row_key(self, response: Response) -> str:
        """Return a key of the response and, if the agent reads them, of its constraints."""
        own_key = self._own_key(response)
        return content_key(response_key(response), own_key) if own_key else response_key(response)

    def _own_key(self, response: Response) -> tuple[object, ...]:
        if self.options.tool not in ("auto", "constraints"):
            return ()
        if not (given := self.constraints.given(response)):
            error = self.constraints.error_in(response) if self.options.tool == "constraints" else None
            return (error,) if error else ()
        return (given,) if self.options.tool == "constraints" else (given, *self._of_constraints)

    def gather(
        self, responses: Sequence[Response], done: Collection[str] = (), unfinished: Mapping[str, Evidence] = NOTHING
    ) -> Iterator[Evidence]:
        """Yield the evidence on each response whose evidence id is not in `done`, window by window, in order.

        `unfinished` has stored rows by id whose calls failed. Only their missing parts are asked for. If the search or
        the engine fails with an EngineError or the user interrupts, the evidence so far is yielded first, as
        unfinished rows.
        """
        for start in range(0, len(responses), WINDOW):
            window = responses[start : start + WINDOW]
            ids = [self.evidence_id(response) for response in window]
            skip = {index for index, row_id in enumerate(ids) if row_id in done}
            before = {i: unfinished[row_id] for i, row_id in enumerate(ids) if row_id in unfinished and i not in skip}
            for evidence in self._window(window, skip, before):
                earlier = unfinished.get(evidence.id)
                yield msgspec.structs.replace(evidence, usage=earlier.usage + evidence.usage) if earlier else evidence

    def _window(self, window: Sequence[Response], skip: set[int], before: dict[int, Evidence]) -> Iterator[Evidence]:
        # An empty answer has a form too, which can break a constraint.
        is_plain = self.options.tool != "constraints"
        empty = {index for index, response in enumerate(window) if is_plain and not response.response.strip()} - skip
        decisions = {
            index: Decision(evidence.tool, evidence.tool_probabilities)
            for index, evidence in before.items()
            if evidence.tool
        }
        # claims listed by an earlier run are not asked for again; only their failed calls are
        claims = {
            index: _claims_of(evidence)
            for index, evidence in before.items()
            if evidence.error is None or evidence.claims
        }
        named: dict[int, Named] = {}
        checked: dict[int, list[tuple[CheckedClaim, Usage]]] = {}
        stop: BaseException | None = None
        try:
            for index, decision in self._decisions(window, skip | empty | decisions.keys()):
                decisions[index] = decision
            by_tool = {tool: {i for i, decision in decisions.items() if decision.tool == tool} for tool in LOOKED_UP}
            for index, named_of in self.constraints.find(window, by_tool["constraints"]):
                named[index] = named_of
            for index, listed in self._claims(window, by_tool["search"] - claims.keys()):
                claims[index] = listed
            self._verify({index: claims[index] for index in by_tool["search"] if index in claims}, before, checked)
        except (EngineError, KeyboardInterrupt) as error:
            stop = error
        for index, response in enumerate(window):
            if index in empty:
                yield self._row(response, Decision(None, error=EMPTY), [], None, None)
            elif index in decisions:
                is_open = decisions[index].tool in LOOKED_UP and index not in checked and index not in named
                how = self._unfinished if stop is not None and is_open else self._evidence
                evidence = (
                    self._checked(response, decisions[index], named[index])
                    if index in named
                    else how(response, decisions[index], claims.get(index), checked.get(index, []))
                )
                if stop is None or evidence.usage != Usage() or index in named:  # or it stopped before it was paid for
                    yield evidence
        if stop is not None:
            raise stop

    def _decisions(self, window: Sequence[Response], skip: set[int]) -> Iterable[tuple[int, Decision]]:
        if self.options.tool == "auto":
            can_check = {index for index, response in enumerate(window) if self.constraints.can_check(response)}
            return choose_tools(self.engine, window, skip, can_check) if len(skip) < len(window) else ()
        return [(index, Decision(self.options.tool)) for index in range(len(window)) if index not in skip]

    def _checked(self, response: Response, decision: Decision, named: Named) -> Evidence:
        row = self._row(response, decision, [], None, None, named.usage)
        return msgspec.structs.replace(row, **self.constraints.fields(response, named))

    def _claims(self, window: Sequence[Response], wanted: set[int]) -> Iterable[tuple[int, Claims]]:
        n = self.options.max_claims
        if self.options.claims == "sentences":
            return [(index, claims_of_sentences(window[index], n)) for index in sorted(wanted)]
        return ask_for_claims(self.engine, window, set(range(len(window))) - wanted, n) if wanted else ()

    def _verify(
        self,
        claims: dict[int, Claims],
        before: dict[int, Evidence],
        checked: dict[int, list[tuple[CheckedClaim, Usage]]],
    ) -> None:
        """Add the checked claims of each response to `checked`, with one call to the search and one to the verifier."""
        # flat, so that the engine batches the claims of a whole window; each claim with the position of its response
        owners = [(index, text) for index in sorted(claims) for text in claims[index].texts]
        if not owners or self.search is None:
            return
        texts = [text for _, text in owners]
        passages = self.search.search(texts, self.options.k)
        earlier = {(index, claim.claim): claim for index, evidence in before.items() for claim in evidence.claims}
        known = [earlier.get(owner) for owner in owners]
        stop: BaseException | None = None
        try:
            answers = verify(self.verifier, texts, passages, known)
        except Stopped as stopped:
            answers, stop = stopped.checked, stopped.__cause__
        for (index, _), claim in zip(owners, answers, strict=True):
            checked.setdefault(index, []).append(claim)
        if stop is not None:
            raise stop

    def _unfinished(
        self, response: Response, decision: Decision, claims: Claims | None, _: list[tuple[CheckedClaim, Usage]]
    ) -> Evidence:
        """Return the row of an answer that was not reached. Calls that are paid for are not made again."""
        if claims is None:
            return self._evidence(response, replace(decision, error=NOT_ASKED), None, [])
        if claims.error or not claims.texts:
            return self._evidence(response, decision, claims, [])
        waiting = [CheckedClaim(claim=text, verdict=None, reason=NOT_ASKED) for text in claims.texts]
        return self._row(response, decision, waiting, claims.origin, claims.reason, claims.usage, NOT_ASKED)

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
    """Return the agent that `options` describe. Raises InputError or EngineError if its verifier is not available."""
    return Agent(engine, search, open_verifier(engine, options), open_tool(engine, options), options)


def open_tools(engine: Engine, options: EvidenceOptions) -> Agent:
    """Return the agent with the search that `options` name. Raises InputError or EngineError as `open_agent`."""
    return open_agent(engine, open_search(options) if options.tool in ("auto", "search") else None, options)


def gather(
    engine: Engine,
    responses: Sequence[Response],
    search: Search | None,
    options: EvidenceOptions,
    done: Collection[str] = (),
) -> Iterator[Evidence]:
    """Yield the evidence on each response whose evidence id is not in `done`. See `Agent.gather`."""
    return open_agent(engine, search, options).gather(responses, done)


def _claims_of(evidence: Evidence) -> Claims:
    return Claims([claim.claim for claim in evidence.claims], evidence.claims_from or "given", evidence.reason, Usage())
