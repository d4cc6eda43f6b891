"""Joins retrieval to the judge: the evidence on each answer is gathered first, then has its say in the score."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from console.progress import progress
from judges.judging.judge import Finish, Judge, has_every_reply
from judges.retrieval.agent import Agent, had_evidence, open_agent
from judges.retrieval.options import EvidenceOptions, check_options
from judges.retrieval.rows import Evidence
from judges.retrieval.scores import verified_score
from judges.retrieval.search.search import open_search
from records import Judgment, Response, Store

NOT_REPEATED = ("id", "response_id", "prompt", "response")
"""What a judgment has anyway."""


def open_checked_judge(judge: Judge, options: EvidenceOptions) -> tuple[Judge, Agent]:
    """Return the judge under another fingerprint, that of its evidence too, and the agent that gathers it.

    Raises InputError or EngineError where the corpus, the search or the verifier cannot be had.
    """
    check_options(options)
    search = open_search(options) if options.tool != "arithmetic" else None
    agent = open_agent(judge.engine, search, options)
    return replace(judge, checked_by=f"{agent.fingerprint} {options.verify} {options.f1_k}"), agent


def evidence_path(out: Path) -> Path:
    """Return where the evidence for the judgments in `out` lies."""
    return out.with_name(f"{out.stem}.evidence.jsonl")


def gather_into(store: Store[Evidence], agent: Agent, chunks: Iterable[Sequence[Response]], n: int) -> None:
    """Gather what `store` does not hold yet about `n` responses, which come in chunks."""
    with progress("gathering evidence", n) as advance:
        for responses in chunks:
            advance(sum(agent.evidence_id(response) in store for response in responses))
            unfinished = store.unfinished(map(agent.evidence_id, responses))
            for row in agent.gather(responses, store.ids, unfinished):
                store.append(row)
                advance(1)


def finish_with(store: Store[Evidence], agent: Agent, judge: Judge) -> Finish:
    """Return the function that puts the evidence into a judgment and lets it change the score."""
    low, high = judge.rubric.scale

    def finish(response: Response, row: Judgment) -> Judgment:
        [evidence] = store.chosen([agent.evidence_id(response)])
        score, reason = verified_score(evidence, row.score, low, high, agent.options.verify, agent.options.f1_k)
        found = {name: value for name, value in msgspec.to_builtins(evidence).items() if name not in NOT_REPEATED}
        return msgspec.structs.replace(
            row,
            score=score,
            error=None if score is not None else row.error or reason,
            evidence=found | {"rule": agent.options.verify, "rubric_score": row.score},
            usage=row.usage + evidence.usage,
        )

    return finish


def open_evidence(path: Path, *, fresh: bool = False) -> Store[Evidence]:
    """Open the file of evidence; what a failed call left open is asked again."""
    return Store(path, Evidence, keep=had_evidence, fresh=fresh)


def was_checked(judgment: Judgment) -> bool:
    """Return whether to keep a stored judgment on resuming: one whose call or whose evidence failed is made anew."""
    evidence = evidence_of(judgment)
    return has_every_reply(judgment) and (evidence is None or had_evidence(evidence))


def evidence_of(judgment: Judgment) -> Evidence | None:
    """Return what was looked up about a judgment's response; None where nothing was."""
    if judgment.evidence is None:
        return None
    own = {"id": judgment.id} | {name: getattr(judgment, name) for name in NOT_REPEATED[1:]}
    return msgspec.convert(judgment.evidence | own, Evidence)
