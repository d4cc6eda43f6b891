"""The loop whose judge checks the form of the answers: its scores cost no call, and no kill changes its rows."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from console.errors import InputError
from judges.options import JudgeOptions
from judges.tools.options import EvidenceOptions
from records import Judgment, Pair, Response, read_rows
from tests.tiny import save_in_bfloat16
from tests.trainer.loop.test_loop import run_loops
from trainer.loop.gather import gathering_work
from trainer.loop.plan.course import steps_of
from trainer.loop.plan.work import Lengths
from trainer.loop.recipe import CandidateOptions, Config, RoundEngineOptions, RoundJudgeOptions, RoundOptions, check
from trainer.loop.said import PAIRS_PER_PROMPT, usual
from trainer.pairs.options import PairOptions

KILLS = [("append", 43)]
"""Among the evidence of iter2."""
CONSTRAINTS = [
    {"kind": "keywords:letter_frequency", "kwargs": {"letter": "e", "let_relation": "at least", "let_frequency": 2}},
    {"kind": "keywords:letter_frequency", "kwargs": {"letter": "a", "let_relation": "less than", "let_frequency": 2}},
    {"kind": "punctuation:no_comma"},
]


@pytest.fixture(scope="module")
def runs(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("recipe")
    base = save_in_bfloat16(tiny_model, folder / "base")
    (folder / "ift.jsonl").write_text("".join(f'{{"prompt": "say {n}", "response": "point {n}"}}\n' for n in range(4)))
    rows = [{"id": str(n), "prompt": f"Write {n} words.", "constraints": CONSTRAINTS} for n in range(9)]
    (folder / "prompts.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    recipe = folder / "tiny.toml"
    recipe.write_text(
        f"""
        name = "tiny"
        iterations = 2
        [engine]
        model = "{base}"
        batch_size = 5
        [seeds]
        prompts = "{folder / "prompts.jsonl"}"
        ift = "{folder / "ift.jsonl"}"
        eft_limit = 2
        [candidates]
        prompts = 4
        n = 3
        max_new_tokens = 12
        temperature = 1.0
        [evidence]
        tool = "constraints"
        verify = "share"
        [pairs]
        evidence = "any"
        [sft]
        batch_size = 2
        [dpo]
        batch_size = 2
        [eval]
        prompts = 3
        """
    )
    return run_loops(tmp_path_factory.mktemp("runs"), recipe, ["one"], KILLS)


def test_the_share_of_constraints_makes_the_pairs_at_no_call(runs: dict[str, Path]) -> None:
    folder = runs["one"] / "iter2"
    judgments = list(read_rows(folder / "judgments.jsonl", Judgment))
    assert len(judgments) == 12 and all(row.usage.n_calls == 0 and row.read == "checks" for row in judgments)
    assert {row.constraints is None for row in read_rows(folder / "responses.jsonl", Response)} == {False}
    pairs = list(read_rows(folder / "pairs.jsonl", Pair))
    assert pairs and all(pair.evidence and pair.evidence[0]["tool"] == "constraints" for pair in pairs)
    for pair in pairs:
        better, worse = (evidence["n_followed"] for evidence in pair.evidence or ())
        assert better > worse and pair.margin == pytest.approx(5 * (better - worse) / 3)


@pytest.mark.parametrize("kill", [f"{what}-{n}" for what, n in KILLS])
def test_a_killed_loop_ends_with_the_same_evidence_and_pairs(runs: dict[str, Path], kill: str) -> None:
    for name in ("judgments.evidence", "judgments", "pairs"):
        whole, resumed = ((runs[run] / "iter2" / f"{name}.jsonl").read_bytes() for run in ("one", kill))
        assert resumed == whole, name


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
