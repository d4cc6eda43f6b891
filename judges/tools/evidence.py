"""Joins the tools to the judge: the evidence on each answer is gathered first and then changes the score."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from console.progress import progress
from engines.protocol import Engine
from engines.scripted import ScriptedEngine
from judges.judging.judge import Finish, Judge, has_every_reply, judge_into
from judges.tools.options import EvidenceOptions, check_options
from judges.tools.rows import NOT_REPEATED, Evidence, evidence_of, had_evidence
from judges.tools.scores import PairRule, evidence_filter, rule_for, verified_score
from records import Judgment, Message, Response, Store
from records.disk import DiskSet
from records.keys import content_key
from records.rows import messages_of, prompt_key

if TYPE_CHECKING:
    from judges.tools.agent import Agent

NO_MODEL: Engine = ScriptedEngine(name="no model", digest="none")
"""The engine of a judge that is asked nothing, because the constraints alone give the score."""


def open_checked_judge(judge: Judge, options: EvidenceOptions) -> tuple[Judge, Agent]:
    """Return the judge with a fingerprint that covers its evidence, and the agent that gathers the evidence.

    Raises InputError or EngineError if the corpus, the search, the verifier or a file of constraints is not available.
    """
    from judges.tools.agent import open_tools  # sympy, bm25s and py3langid are for those who ask for a tool

    check_options(options)
    agent = open_tools(judge.engine, options)
    checked_by = f"{agent.fingerprint} {options.verify} {options.f1_k}"
    return replace(judge, checked_by=checked_by, row_key=agent.row_key, is_asked=options.asks_rubric), agent


def with_tools(judge: Judge, options: EvidenceOptions) -> tuple[Judge, Agent | None]:
    """Return the judge and the agent that gathers its evidence, or the judge as it is if no tool is wanted."""
    return open_checked_judge(judge, options) if options.enabled else (judge, None)


def calls_for_constraints(options: EvidenceOptions, prompts: Iterable[str | list[Message]]) -> dict[str, int]:
    """Return for a plan the most calls that name constraints, one per different prompt, if a model names them."""
    if options.constraints != "ask":
        return {}
    different = DiskSet()
    for prompt in prompts:
        different.add(content_key(messages_of(prompt)))
    return {"calls_for_constraints": len(different)}


def calls_for_claims(options: EvidenceOptions, n: int) -> dict[str, int]:
    """Return for a plan the most calls that choose tools, list claims and check them on `n` answers, if there are any.

    Each answer then has the most claims, and each claim the most passages.
    """
    per_answer = 1 if options.tool == "auto" else 0
    if options.tool in ("auto", "search"):
        per_answer += 1 if options.claims == "model" else 0
        per_answer += options.max_claims * options.k if options.verifier == "judge" else 0
    return {"calls_for_claims": n * per_answer} if per_answer else {}


def evidence_path(out: Path) -> Path:
    """Return the path of the evidence for the judgments in `out`."""
    return out.with_name(f"{out.stem}.evidence.jsonl")


def gather_into(
    store: Store[Evidence],
    agent: Agent,
    chunks: Iterable[Sequence[Response]],
    n: int,
    title: str = "gathering evidence",
) -> None:
    """Gather the evidence that `store` lacks on `n` responses, which come in chunks."""
    with progress(title, n) as advance:
        for responses in chunks:
            done = [row_id for row_id in map(agent.evidence_id, responses) if row_id in store]
            # before the rest is gathered: a prompt with a stored answer is not asked about again for its other
            # answers
            agent.constraints.remember(store.chosen(dict.fromkeys(done)))
            advance(len(done))
            unfinished = store.unfinished(map(agent.evidence_id, responses))
            for evidence in agent.gather(responses, store.ids, unfinished):
                store.append(evidence)
                if store.is_finished(evidence):
                    advance(1)
    agent.constraints.say_problems()


def finish_with(store: Store[Evidence], agent: Agent, judge: Judge) -> Finish:
    """Return the function that adds the evidence to a judgment and adjusts the score."""

    def finish(response: Response, judgment: Judgment) -> Judgment:
        [evidence] = store.chosen([agent.evidence_id(response)])  # read from disk for one answer, not held for all
        return with_evidence(judgment, evidence, judge, agent.options)

    return finish


def with_evidence(judgment: Judgment, evidence: Evidence, judge: Judge, options: EvidenceOptions) -> Judgment:
    """Return a judgment with the evidence and the score that follows from both."""
    low, high = judge.rubric.scale
    score, reason = verified_score(evidence, judgment.score, low, high, options.verify, options.f1_k)
    fields = {name: value for name, value in msgspec.to_builtins(evidence).items() if name not in NOT_REPEATED}
    why = (judgment.error or reason) if judge.is_asked else reason
    return msgspec.structs.replace(
        judgment,
        score=score,
        error=None if score is not None else why,
        evidence=fields | {"rule": rule_for(evidence, options.verify), "rubric_score": judgment.score},
        usage=judgment.usage + evidence.usage,
    )


def judge_checked_into(
    store: Store[Judgment],
    judge: Judge,
    agent: Agent | None,
    responses: Sequence[Response],
    title: str,
    *,
    fresh: bool = False,
    pair_rule: PairRule | None = None,
) -> list[Judgment]:
    """Return the judgments of all `responses` in order. Those that `store` lacks are made, after their evidence.

    The evidence goes beside the judgments. Without an agent there is none. With `pair_rule` the answers to a prompt are
    left out if no two of them make a pair by it: their scores decide nothing.
    """
    if agent is None:
        return judge_into(store, judge, responses, title)
    with open_evidence(evidence_path(store.path), fresh=fresh) as evidence:
        gather_into(evidence, agent, [responses], len(responses))
        if pair_rule is not None:
            responses = _pairable(responses, evidence, agent, pair_rule)
        return judge_into(store, judge, responses, title, finish_with(evidence, agent, judge))


def _pairable(responses: Sequence[Response], store: Store[Evidence], agent: Agent, rule: PairRule) -> list[Response]:
    """Return the answers to those prompts for which the evidence allows a pair, in order."""
    by_prompt: dict[str, list[Response]] = {}
    for response in responses:
        by_prompt.setdefault(prompt_key(response), []).append(response)
    kept = set()
    for key, answers in by_prompt.items():
        evidence = list(store.chosen(map(agent.evidence_id, answers)))
        if any(evidence_filter(chosen, rejected, rule) is None for chosen, rejected in permutations(evidence, 2)):
            kept.add(key)
    return [response for response in responses if prompt_key(response) in kept]


def judge_checked(
    judge: Judge, agent: Agent, responses: Sequence[Response], done: Collection[str] = ()
) -> Iterator[Judgment]:
    """Yield the judgment of each response whose judgment id is not in `done`, after its evidence. Nothing is stored."""
    by_id = {judge.judgment_id(response): response for response in responses}
    todo = [response for row_id, response in by_id.items() if row_id not in done]
    evidence = {evidence.id: evidence for evidence in agent.gather(todo)}
    for judgment in judge.judge(todo):
        evidence_id = agent.evidence_id(by_id[judgment.id])
        yield with_evidence(judgment, evidence[evidence_id], judge, agent.options)


def open_evidence(path: Path, *, fresh: bool = False) -> Store[Evidence]:
    """Open the file of evidence. Parts left open by a failed call are asked again."""
    return Store(path, Evidence, keep=had_evidence, fresh=fresh)


def was_checked(judgment: Judgment) -> bool:
    """Return whether to keep a stored judgment on resuming. A failed call or failed evidence is redone."""
    evidence = evidence_of(judgment)
    return has_every_reply(judgment) and (evidence is None or had_evidence(evidence))
