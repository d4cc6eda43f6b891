"""Plans of loops whose judge checks the form of the answers; those that run are in test_loop.py."""

import math
from dataclasses import replace

import pytest

from console.errors import InputError
from judges.options import JudgeOptions
from judges.tools.options import EvidenceOptions
from trainer.loop.gather import gathering_work
from trainer.loop.plan.course import steps_of
from trainer.loop.plan.work import Lengths
from trainer.loop.recipe import CandidateOptions, Config, RoundEngineOptions, RoundJudgeOptions, RoundOptions, check
from trainer.loop.said import PAIRS_PER_PROMPT, usual
from trainer.pairs.options import PairOptions


def test_constraints_alone_write_no_judgments_to_compare() -> None:
    judge = JudgeOptions(read="text", samples=3)
    evidence = EvidenceOptions(tool="constraints", verify="strict")
    with pytest.raises(InputError, match="constraints alone write none"):
        check(Config(judge=judge, evidence=evidence, round=RoundOptions(meta=True)))


def test_a_plan_counts_what_naming_the_constraints_asks_and_no_rubric_that_is_not_asked() -> None:
    lengths = Lengths(prompt=20, answer=50, rows=4)
    config = Config(candidates=CandidateOptions(prompts=6, n=3, max_new_tokens=50))
    own = EvidenceOptions(tool="constraints", verify="share")
    asked = EvidenceOptions(tool="constraints", constraints="ask")
    stages = {work.stage: work for work in gathering_work(2, lengths, replace(config, evidence=own))}
    assert stages["iter2 evidence, at most"].n_calls == 0 and "iter2 judging" not in stages
    stages = {work.stage: work for work in gathering_work(2, lengths, replace(config, evidence=asked))}
    assert stages["iter2 evidence, at most"].n_calls == stages["iter2 judging"].n_calls == 18
    assert stages["iter2 evidence, at most"].n_read > 18 * 500, "the table of kinds"


@pytest.mark.parametrize(
    ("judge", "by"), [(RoundEngineOptions(), ""), (RoundEngineOptions("big", base_url="http://b/v1"), " by big")]
)
def test_a_round_that_leaves_out_prompts_is_planned_with_all_and_guessed_with_the_usual_share(
    judge: RoundEngineOptions, by: str
) -> None:
    config = Config(
        candidates=CandidateOptions(prompts=20, n=3, max_new_tokens=50),
        evidence=EvidenceOptions(tool="constraints"),
        pairs=PairOptions(evidence="more-supported"),
        judge=RoundJudgeOptions(read="logprobs", engine=judge),
    )
    planned = {work.stage: work for work in gathering_work(2, Lengths(prompt=20, answer=30, rows=8), config)}
    work = planned[f"iter2 judging{by}, at most all answers"]
    assert work.n_calls == 60
    assert usual(work).n_calls == math.ceil(PAIRS_PER_PROMPT * 60)
    assert [step.title for step in steps_of([work], [1.0])] == [f"iter2 judging{by}"], "as its progress is called"
