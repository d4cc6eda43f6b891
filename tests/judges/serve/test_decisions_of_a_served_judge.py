"""--read decisions against judges.serve itself."""

from pathlib import Path

import pytest

from engines.options import EngineOptions, open_engine
from engines.served.openai_engine import open_openai
from judges.judging.judge import Judge, open_judge
from judges.judging.pairwise import Contest, compare
from judges.options import JudgeOptions
from judges.serve.options import Config
from records import Response
from tests.judges.serve.conftest import LengthJudge, Serve
from tests.judges.serve.running import Running, running


def judge_of(server: Running, rubric: str) -> Judge:
    options = EngineOptions(model="length", base_url=f"{server.url}/v1")
    engine = open_openai(options.model, options.base_url, "NO_KEY", concurrency=2)
    return open_judge(engine, JudgeOptions(rubric=rubric, read="decisions"), 0)


def response(text: str) -> Response:
    return Response(id=text, prompt_id="p", prompt="Q?", response=text, model="m")


@pytest.mark.parametrize(("rubric", "expected"), [("additive", 10 / 3), ("criteria", 11 / 3), ("safety", 1 / 3)])
def test_a_rubric_is_scored_by_a_served_judge_with_its_mass(
    serve: Serve, engine: LengthJudge, rubric: str, expected: float
) -> None:
    """The engine gives option n the probability n of 1 + ... + N, half of it on no option."""
    server = serve(judge=JudgeOptions())
    [judgment] = judge_of(server, rubric).judge([response("x")])
    assert judgment.score == pytest.approx(expected) and judgment.mass == pytest.approx(0.5)
    assert server.server.bench.metrics.requests.labels("/v1/decisions", "200")._value.get() == 1


def test_two_answers_are_compared_by_a_served_judge(serve: Serve) -> None:
    judge = judge_of(serve(judge=JudgeOptions()), "pairwise")
    [row] = compare(judge, [Contest("p", "Q", "x", "xx", "a", "b")], ())
    assert row.flipped and row.mass == pytest.approx(0.5) and row.preference_b == pytest.approx(0.5)


def test_a_judge_that_reads_decisions_can_be_served_itself(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = serve(judge=JudgeOptions())
    monkeypatch.setattr("judges.serve.opening.open_engine", open_engine)
    options = EngineOptions(model="length", base_url=f"{first.url}/v1")
    with running(Config(engine=options, judge=JudgeOptions(read="decisions"), out=tmp_path / "second")) as second:
        [judgment] = second.post("/score", {"prompt": "Q", "response": "x"})[1]["judgments"]
        assert judgment["score"] == pytest.approx(10 / 3) and judgment["read"] == "decisions"
        question = {"type": "predicate", "instructions": "It is short."}
        body = {"model": "length", "input": "x", "questions": [question]}
        [answer] = second.post("/v1/decisions", body)[1]["answers"]
        assert answer["probability"] == pytest.approx(2 / 3) and answer["label_mass"] == pytest.approx(0.5)
