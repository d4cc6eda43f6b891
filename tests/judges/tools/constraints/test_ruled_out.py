"""Answers that can be in no pair are not judged: the checks rule their prompts out before the model is asked."""

from collections.abc import Sequence
from math import log
from pathlib import Path

import pytest

from engines.protocol import Request
from engines.scripted import ScriptedEngine
from judges.judging.judge import open_judge
from judges.options import JudgeOptions
from judges.tools.evidence import judge_checked_into, open_checked_judge, was_checked
from judges.tools.options import EvidenceOptions
from judges.tools.scores import PairRule
from records import Judgment, Response, Store
from records.rows import Constraint
from trainer.pairs.options import PairOptions
from trainer.pairs.pairing import make_pairs

CHECKED = EvidenceOptions(tool="constraints")
COMMA, TEA = (
    Constraint(kind="punctuation:no_comma"),
    Constraint(kind="keywords:existence", kwargs={"keywords": ["tea"]}),
)
TEXTS = {
    "all follow": ("tea", "a tea"),
    "all break": ("a, cup", "a, pot"),
    "differ": ("tea, hot", "hot tea", "my tea"),
    "partly": ("a, cup", "tea, hot"),
}
"""Answers by prompt. With both constraints `partly` has a better answer, which still breaks one."""


def answers() -> list[Response]:
    return [
        Response(
            id=f"{prompt} {n}", prompt_id=prompt, prompt=prompt, response=text, model="m", constraints=[COMMA, TEA]
        )
        for prompt, texts in TEXTS.items()
        for n, text in enumerate(texts)
    ]


def judged(path: Path, rule: PairRule | None) -> list[Judgment]:
    def logprobs(request: Request, labels: Sequence[str]) -> list[float]:
        likes = len(request.messages[-1]["content"]) % 3  # so that the answers to a prompt differ
        return [log((1 + likes * place) / 20) for place in range(len(labels))]

    engine = ScriptedEngine(logprobs=logprobs)
    judge, agent = open_checked_judge(open_judge(engine, JudgeOptions(read="logprobs"), 0), CHECKED)
    with Store(path, Judgment, keep=was_checked) as store:
        return judge_checked_into(store, judge, agent, answers(), "judging", pair_rule=rule)


@pytest.mark.parametrize("rule", ["more-supported", "no-refuted"])
def test_only_prompts_that_can_give_a_pair_are_judged_and_the_pairs_stay_the_same(
    tmp_path: Path, rule: PairRule
) -> None:
    every, few = judged(tmp_path / "every.jsonl", None), judged(tmp_path / "few.jsonl", rule)
    assert len(every) == len(answers())
    kept = {"differ"} if rule == "more-supported" else {"differ", "all follow"}
    assert {row.prompt_id for row in few} == kept
    assert few == [row for row in every if row.prompt_id in kept]
    pairs = [make_pairs(rows, PairOptions(evidence=rule))[0] for rows in (every, few)]
    assert pairs[0] == pairs[1] != []


def test_the_evidence_on_all_answers_is_kept_and_a_resumed_run_judges_no_more(tmp_path: Path) -> None:
    first = judged(tmp_path / "rows.jsonl", "more-supported")
    written = (tmp_path / "rows.jsonl").read_bytes()
    assert len((tmp_path / "rows.evidence.jsonl").read_text().splitlines()) == len(answers())
    assert judged(tmp_path / "rows.jsonl", "more-supported") == first
    assert (tmp_path / "rows.jsonl").read_bytes() == written
