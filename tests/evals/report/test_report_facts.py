"""What a report reads of a run: all that there is, the damage named, and what is missing."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from evals.report.content import content_of
from evals.report.facts.pairs import pairs_of
from evals.report.facts.run import read_run
from evals.report.facts.shapes import (
    FollowingFacts,
    HeldOutFacts,
    LedgerFacts,
    PolicyFacts,
    RewardModelFacts,
    RlpFacts,
    Scored,
    Words,
)
from evals.report.tables.others import missing_of
from records import Judgment
from records.rows import pair_of
from records.runs import Run
from tests.evals.report.conftest import jsonl
from trainer.loop.held_out.figures import IterationFigures
from trainer.monitors.following import Following
from trainer.rlp.measure import Evaluation, PolicyFigures, RewardModelFigures
from trainer.runs.ledger import LedgerLine

Make = Callable[..., Run]


@pytest.mark.parametrize(
    ("read", "written"),
    [
        (LedgerFacts, LedgerLine),
        (HeldOutFacts, IterationFigures),
        (FollowingFacts, Following),
        (RlpFacts, Evaluation),
        (PolicyFacts, PolicyFigures),
        (RewardModelFacts, RewardModelFigures),
        (Scored, Judgment),
        (Words, Judgment),
    ],
)
def test_the_names_that_a_report_reads_are_those_that_are_written(read: Any, written: Any) -> None:
    assert set(read.__struct_fields__) <= set(written.__struct_fields__)


def test_a_run_is_read_with_its_scores_and_the_reasons_for_none(make_run: Make) -> None:
    facts = read_run(make_run())
    assert facts.iterations == ["iter0", "iter1", "iter2"] and facts.state == "finished" and facts.problems == []
    judged = facts.judged["iter2"]
    assert (judged.n, len(judged.scores), judged.usage.n_calls) == (8, 7, 8)
    assert judged.reasons == {"the reply has no verdict": 1}


def test_disagreements_come_before_pairs_that_were_drawn(make_run: Make) -> None:
    problems: list[str] = []
    pairs = pairs_of(make_run(), 0, problems)
    whys = [pair.why for pair in pairs]
    assert whys == [
        "the rejected answer follows more of what the prompt asks",
        "the orders disagree: iter0 wins if iter0 is shown first, iter2 if iter2 is",
        "a near tie: the scores are 0.10 apart",
        "drawn by chance",
    ]
    assert pairs[0].left.found == ["✗ punctuation:no_comma: said"]
    assert pairs[0].left.words == ["1:\u00a050\u00a0%, 5:\u00a050\u00a0%"], (
        "the judge's words of a reading by log-probabilities"
    )
    assert pairs[1].words == ["iter0 shown first: Better: A", "iter2 shown first: Better: A"]
    assert problems == []


def test_of_two_kinds_of_margins_the_wide_one_is_no_near_tie(make_run: Make) -> None:
    run = make_run()
    margins = [0.01, *[2.0] * 9]
    pairs = [pair_of("Say it.", f"p{n}", f"yes {n}", f"no {n}", (3.0, 3.0 - gap)) for n, gap in enumerate(margins)]
    (run.iteration(2) / "pairs.jsonl").write_bytes(jsonl(pairs))
    whys = [pair.why for pair in pairs_of(run, 0, [])]
    assert [why for why in whys if why.startswith("a near tie")] == ["a near tie: the scores are 0.01 apart"]


def test_damaged_files_are_named_and_the_rest_is_read(make_run: Make) -> None:
    run = make_run()
    (run.iteration(1) / "metrics.json").write_text('{"iteration": 1, "n_pro')
    with run.ledger.open("ab") as file:
        file.write(b'{"id": "iter3", "par')
    with (run.iteration(2) / "judgments.jsonl").open("ab") as file:
        file.write(b'{"id": "torn')
    run.config.write_text("[settings")
    content = content_of([read_run(run)], 0)
    problems = "\n".join(content.lists["Cannot be read"])
    for name in ("iter1/metrics.json", "ledger.jsonl:3", "judgments.jsonl: 1 line left out", "run.toml"):
        assert name in problems
    assert [row["iteration"] for row in content.tables[0].rows] == ["iter0", "iter1", "iter2"]
    assert content.tables[0].rows[1]["does what is asked, %"] is None
    assert content.tables[0].rows[2]["does what is asked, %"] == "50.0 [40.0, 60.0]"


def test_a_run_without_anything_measured_has_a_page_that_says_what_is_missing(make_run: Make) -> None:
    run = make_run()
    for number in range(3):
        (run.iteration(number) / "metrics.json").unlink()
    content = content_of([read_run(run)], 0)
    assert content.headlines == ["No iteration of this run has been measured yet."]
    assert content.curves == [] and any("evals.alpaca" in line for line in content.lists["Not measured"])


def test_benchmarks_are_found_with_their_intervals_and_no_longer_missing(make_run: Make) -> None:
    run = make_run()
    folder = run.folder / "evals" / "iter2" / "alpaca_eval"
    folder.mkdir(parents=True)
    (folder / "leaderboard.csv").write_text(
        ",win_rate,standard_error,n_total,length_controlled_winrate,lc_standard_error\niter2,12.5,1.0,805,,\n"
    )
    tasks = run.folder / "evals" / "iter2" / "open_llm"
    tasks.mkdir()
    gsm8k = {"task": "gsm8k", "metric": "exact_match", "value": 0.25, "stderr": 0.05, "n": 50}
    found = {"model": "iter2", "tasks": [gsm8k, {"task": "mmlu", "value": None}]}
    (tasks / "results.json").write_text(json.dumps(found))
    versus = run.folder / "evals" / "head_to_head"
    versus.mkdir()
    match = {"model": "iter2", "against": "iter0", "win_rate": {"value": 0.6, "low": 0.5, "high": 0.7, "n": 9}}
    (versus / "head_to_head.json").write_text(json.dumps({"pairs": [match]}))
    safety = run.folder / "evals" / "iter2" / "safety"
    safety.mkdir()
    share = {"value": 0.25, "low": 0.1, "high": 0.4, "n": 40}
    (safety / "safety.json").write_text(json.dumps({"model": "iter2", "harm": share, "refused": {"value": None}}))
    human = run.folder / "evals" / "human"
    human.mkdir()
    by_people = {"value": 0.7, "low": 0.6, "high": 0.8, "n": 30}
    match = {"first": "iter0", "second": "iter2", "by_people": by_people}
    (human / "human.json").write_text(json.dumps({"matches": [match, match]}))
    facts = read_run(run)
    values = {found.benchmark: found.row()["value"] for found in facts.benchmarks}
    assert values == {
        "alpaca_eval": "12.5 [10.5, 14.5]",
        "open_llm: gsm8k": "25.0 [15.2, 34.8]",
        "head_to_head": "60.0 [50.0, 70.0]",
        "human": "70.0 [60.0, 80.0]",
        "safety": "25.0 [10.0, 40.0]",
    }
    assert not any("alpaca" in line or "open_llm" in line or "safety" in line for line in missing_of(facts))


def test_two_runs_show_the_settings_that_differ_and_no_others(make_run: Make) -> None:
    first, second = make_run("one"), make_run("two", follows=0.8, seed=7)
    content = content_of([read_run(first), read_run(second)], 0)
    assert content.settings.rows == [{"setting": "seed", "one": "0", "two": "7"}]
    assert [row["run"] for row in content.tables[0].rows] == ["one"] * 3 + ["two"] * 3
    assert list(content.pairs) == ["Pairs of one", "Pairs of two"]
