"""Preferences of a program that checks the constraints of the prompts."""

import json
from pathlib import Path

import pytest

from engines.options import EngineOptions
from judges.judging.pairwise import both_orders_answered
from records import Comparison, Prompt, Response, Store
from records.rows import Constraint, messages_of
from records.runs import Run
from trainer.rlp.annotator import ConstraintAnnotator, open_annotator
from trainer.rlp.checks import check
from trainer.rlp.preferences import contests_of, labelled_pairs
from trainer.rlp.recipe import AnnotatorOptions, Config
from trainer.rlp.report import print_plan
from trainer.rlp.splits import RLPSplit

OPTIONS = AnnotatorOptions(label="constraints", engine=EngineOptions(model="no such model"))
NO_COMMA = Constraint(kind="punctuation:no_comma")
SHORT = Constraint(kind="judgeloop:at_most_words", kwargs={"num_words": 2})
PROMPTS = [
    Prompt(id="better", prompt="P", constraints=[NO_COMMA, SHORT]),
    Prompt(id="tied", prompt="Q", system="S", constraints=[SHORT]),
    Prompt(id="nothing", prompt="R"),
]
TEXTS = {"better": ("a, b", "a b"), "tied": ("a b", "c"), "nothing": ("a", "b")}


def answers() -> list[Response]:
    return [
        Response(
            id=f"{prompt.id}{n}", prompt_id=prompt.id, response=text, model="m",
            prompt=prompt.prompt if prompt.system is None else messages_of(prompt.prompt, prompt.system),
        )
        for prompt in PROMPTS
        for n, text in enumerate(TEXTS[prompt.id])
    ]  # fmt: skip


def test_the_answer_that_follows_more_is_preferred_and_no_model_is_asked(tmp_path: Path) -> None:
    annotator = open_annotator(Run(tmp_path), OPTIONS, PROMPTS, 0)
    contests = contests_of(answers())
    with Store(tmp_path / "c.jsonl", Comparison, keep=both_orders_answered) as store:
        rows = annotator.compare(store, contests, "labels")
    assert [row.winner for row in rows] == ["b", "tie", None]
    assert rows[2].error == "no constraint of the prompt can be checked on both answers"
    assert all(row.usage.n_calls == 0 and row.judge == annotator.fingerprint for row in rows)
    [pair] = labelled_pairs(rows)
    assert (pair.chosen[0]["content"], pair.rejected[0]["content"]) == ("a b", "a, b")
    with Store(tmp_path / "c.jsonl", Comparison, keep=both_orders_answered) as store:
        assert annotator.compare(store, contests, "labels") == rows
        relaxed = ConstraintAnnotator({})
        assert [row.winner for row in relaxed.compare(store, contests, "labels")] == [None] * 3


def test_a_run_that_labels_by_constraints_needs_no_annotator_model(capsys: pytest.CaptureFixture[str]) -> None:
    config = Config(annotator=OPTIONS, json=True)
    check(config)
    print_plan(Run(Path("runs/x")), RLPSplit(PROMPTS, PROMPTS, PROMPTS), 4, config, fresh=False)
    stages = {row["stage"]: row["judge calls"] for row in json.loads(capsys.readouterr().out)}
    assert stages["iter1 annotator"] == stages["held-out annotator"] == 0
