"""Joins retrieval to the judge: the evidence on each answer is gathered first and then changes the score."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from console.progress import progress
from judges.judging.judge import Finish, Judge, has_every_reply
from judges.tools.agent import Agent, had_evidence, open_agent
from judges.tools.options import EvidenceOptions, check_options
from judges.tools.rows import Evidence
from judges.tools.scores import verified_score
from judges.tools.search.search import open_search
from records import Judgment, Response, Store

NOT_REPEATED = ("id", "response_id", "prompt", "response")
"""Fields that a judgment has anyway."""


def open_checked_judge(judge: Judge, options: EvidenceOptions) -> tuple[Judge, Agent]:
    """Return the judge with a fingerprint that covers its evidence, and the agent that gathers the evidence.

    Raises InputError or EngineError if the corpus, the search or the verifier is not available.
    """
    check_options(options)
    search = open_search(options) if options.tool != "arithmetic" else None
    agent = open_agent(judge.engine, search, options)
    return replace(judge, checked_by=f"{agent.fingerprint} {options.verify} {options.f1_k}"), agent


def evidence_path(out: Path) -> Path:
    """Return the path of the evidence for the judgments in `out`."""
    return out.with_name(f"{out.stem}.evidence.jsonl")


def gather_into(store: Store[Evidence], agent: Agent, chunks: Iterable[Sequence[Response]], n: int) -> None:
    """Gather the evidence that `store` lacks on `n` responses, which come in chunks."""
    with progress("gathering evidence", n) as advance:
        for responses in chunks:
            advance(sum(agent.evidence_id(response) in store for response in responses))
            unfinished = store.unfinished(map(agent.evidence_id, responses))
            for evidence in agent.gather(responses, store.ids, unfinished):
                store.append(evidence)
                advance(1)


def finish_with(store: Store[Evidence], agent: Agent, judge: Judge) -> Finish:
    """Return the function that adds the evidence to a judgment and adjusts the score."""
    low, high = judge.rubric.scale

    def finish(response: Response, judgment: Judgment) -> Judgment:
        [evidence] = store.chosen([agent.evidence_id(response)])
        score, reason = verified_score(evidence, judgment.score, low, high, agent.options.verify, agent.options.f1_k)
        fields = {name: value for name, value in msgspec.to_builtins(evidence).items() if name not in NOT_REPEATED}
        return msgspec.structs.replace(
            judgment,
            score=score,
            error=None if score is not None else judgment.error or reason,
            evidence=fields | {"rule": agent.options.verify, "rubric_score": judgment.score},
            usage=judgment.usage + evidence.usage,
        )

    return finish


def open_evidence(path: Path, *, fresh: bool = False) -> Store[Evidence]:
    """Open the file of evidence. Parts left open by a failed call are asked again."""
    return Store(path, Evidence, keep=had_evidence, fresh=fresh)


def was_checked(judgment: Judgment) -> bool:
    """Return whether to keep a stored judgment on resuming. A failed call or failed evidence is redone."""
    evidence = evidence_of(judgment)
    return has_every_reply(judgment) and (evidence is None or had_evidence(evidence))


def evidence_of(judgment: Judgment) -> Evidence | None:
    """Return the evidence on a judgment's response, or None without evidence."""
    if judgment.evidence is None:
        return None
    shared = {"id": judgment.id} | {name: getattr(judgment, name) for name in NOT_REPEATED[1:]}
    return msgspec.convert(judgment.evidence | shared, Evidence)
