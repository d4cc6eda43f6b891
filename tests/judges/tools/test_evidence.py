import json
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from console.errors import InputError
from engines.scripted import ScriptedEngine
from judges.score import __main__ as score
from judges.tools.rows import evidence_of
from records import Judgment, read_rows
from tests.judges.opened import patch_open_engine

FACTS = [
    {"id": "lima", "title": "Lima", "text": "Lima is the capital of Peru and its largest city."},
    {"id": "boil", "title": "Boiling", "text": "Water boils at 100 degrees Celsius at sea level."},
]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ScriptedEngine:
    """A model that sends every answer to the search, and calls wrong what says Cusco."""

    def logprobs(request: Any, choices: Any) -> list[float]:
        content = request.messages[0]["content"]
        first = 1 if "Cusco" in content and "Lima is the capital" in content else 0
        return [-0.01 if index == first else -9.0 for index in range(len(choices))]

    engine = ScriptedEngine(reply=lambda _: "Score: 4", logprobs=logprobs)
    patch_open_engine(monkeypatch, lambda options: engine)
    monkeypatch.setenv("JUDGELOOP_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    write("facts.jsonl", *FACTS)
    write(
        "answers.jsonl",
        {"prompt": "What is the capital of Peru?", "response": "Lima is the capital of Peru."},
        {"prompt": "Which city is the capital of Peru?", "response": "Cusco is the capital of Peru."},
    )
    return engine


def write(path: str, *rows: dict[str, object]) -> None:
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows))


def run(*arguments: str) -> list[Judgment]:
    flags = ("--read", "text", "--samples", "1", "--claims", "sentences", "--tool", "search", "--k", "1")
    score.main(parse(score.Config, ["answers.jsonl", "--out", "j.jsonl", *flags, *arguments], "prog"))
    return list(read_rows(Path("j.jsonl"), Judgment))


def test_a_refuted_claim_caps_the_score_and_the_passage_is_in_the_row(
    asked: ScriptedEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    right, wrong = run("--corpus", "facts.jsonl")
    assert (right.score, wrong.score) == (4, 0) and wrong.replies == ["Score: 4"]
    assert wrong.evidence is not None and (wrong.evidence["rule"], wrong.evidence["rubric_score"]) == ("cap", 4)
    [claim] = wrong.evidence["claims"]
    assert (claim["verdict"], claim["quote"]["passage_id"]) == ("refuted", "lima")
    found = evidence_of(wrong)
    assert found is not None and found.n_refuted == 1
    assert "| search         |   2 |" in capsys.readouterr().out


def test_factscore_takes_the_rubrics_place(asked: ScriptedEngine) -> None:
    from math import exp

    right, wrong = run("--corpus", "facts.jsonl", "--verify", "factscore")
    assert right.score == pytest.approx(5 * exp(1 - 10)) and wrong.score == 0


def test_the_corpus_and_the_rule_are_part_of_the_fingerprint(asked: ScriptedEngine) -> None:
    first = run("--corpus", "facts.jsonl")[0].judge
    write("facts.jsonl", *FACTS, {"text": "Cusco lies in the Andes."})
    assert len({first, run("--corpus", "facts.jsonl", "--fresh")[0].judge}) == 2
    second = run("--corpus", "facts.jsonl", "--verify", "f1", "--fresh")[0].judge
    assert second not in (first, run("--tool", "arithmetic", "--fresh")[0].judge)


def test_a_second_run_asks_nothing_and_looks_nothing_up(asked: ScriptedEngine) -> None:
    first = run("--corpus", "facts.jsonl")
    n_asked = len(asked.asked)
    assert run("--corpus", "facts.jsonl") == first and len(asked.asked) == n_asked


def test_an_answer_that_no_tool_fits_is_judged_plainly_and_says_so(asked: ScriptedEngine) -> None:
    asked.logprobs = lambda _, choices: [-9.0] * (len(choices) - 1) + [-0.01]  # none is the last tool
    rows = run("--corpus", "facts.jsonl", "--tool", "auto", "--verify", "factscore")
    assert [row.score for row in rows] == [4, 4]
    assert all(row.evidence and row.evidence["tool"] == "none" and row.evidence["reason"] for row in rows)


def test_arithmetic_needs_no_corpus(asked: ScriptedEngine) -> None:
    write(
        "answers.jsonl",
        {"prompt": "12 * 7?", "response": "12 * 7 = 84"},
        {"prompt": "12*7?", "response": "12 * 7 = 85"},
    )
    assert [row.score for row in run("--tool", "arithmetic")] == [4, 0]


def test_a_batch_has_no_tools(asked: ScriptedEngine) -> None:
    with pytest.raises(InputError, match="a batch has no tools"):
        run("--corpus", "facts.jsonl", "--export-batch", "b.jsonl")


def test_a_judge_whose_samples_failed_is_completed_without_counting_the_evidence_twice(asked: ScriptedEngine) -> None:
    replies = iter(["Score: 4", "fail", "Score: 4", "Score: 2"])

    def reply(_: Any) -> str:
        if (said := next(replies)) == "fail":
            raise RuntimeError("call failed: 500")
        return said

    asked.reply = reply
    flags = ("--corpus", "facts.jsonl", "--samples", "2", "--min-coverage", "0")
    first, _ = run(*flags)
    assert first.score is None and first.missing == {"1": "call failed: 500"} and first.evidence is not None
    n_evidence = first.evidence["usage"]["n_calls"]
    asked.reply = lambda _: "Score: 1"
    asked.asked.clear()
    [*_, again] = run(*flags)
    assert again.id == first.id and again.score == 2.5 and len(asked.asked) == 1
    assert again.usage.n_calls == n_evidence + 3
