"""A served judge by log-probabilities whose model replies without naming a choice."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engines.options import EngineOptions
from judges.judging.judge import has_every_reply
from judges.options import JudgeOptions
from judges.parsing.verdict import How, all_samples, score_of
from judges.rubrics.rubric import load_rubric
from judges.serve.options import Config
from records import Judgment, read_rows
from tests.judges.serve.running import Running, running
from tests.openai_server import Server, completion

WORDS = ("I", " cannot", " say")
REASONS = {"stop": "the reply names no choice: 'I cannot say'", "length": "truncated: the reply was cut off (length)"}
QUESTION = {"type": "predicate", "instructions": "It is short."}
DECISION = {"model": "m", "input": "x", "questions": [QUESTION]}
ROW = {"prompt": "Q", "response": "x"}
GENRM = {
    "conversation_history": [{"role": "user", "content": "Q"}],
    "response_objs": [
        {"output": [{"role": "assistant", "content": [{"type": "output_text", "text": text}]}]} for text in ("x", "xx")
    ],
}


def config(server: Server, tmp_path: Path) -> Config:
    return Config(engine=EngineOptions(model="m", base_url=server.url), judge=JudgeOptions(), out=tmp_path / "out")


@pytest.fixture(params=["stop", "length"])
def finish(request: pytest.FixtureRequest, server: Server) -> str:
    tokens = [
        {"token": word, "logprob": math.log(0.9), "top_logprobs": [{"token": word, "logprob": math.log(0.9)}]}
        for word in WORDS
    ]
    server.answer = lambda _: completion("".join(WORDS), request.param, logprobs=tokens)
    return str(request.param)


@pytest.fixture
def judge(server: Server, finish: str, tmp_path: Path) -> Iterator[Running]:
    with running(config(server, tmp_path)) as found:
        yield found


def test_a_question_without_a_choice_is_refused_with_its_reason_and_not_asked_again(
    judge: Running, server: Server, finish: str
) -> None:
    for _ in range(3):
        status, reply = judge.post("/v1/decisions", DECISION)
        assert status == 200 and reply["answers"][0]["type"] == "refusal"
        assert reply["answers"][0]["error"].startswith(REASONS[finish])
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("path", "body", "status", "n_calls"),
    [
        ("/score", ROW, 200, 1),
        ("/reward", {"query": ["Q x"], "prompts": ["Q"]}, 422, 1),
        ("/reward", {"solution_str": "x", "prompt": "Q"}, 422, 1),
        ("/compare", {"prompt": "Q", "response_a": "x", "response_b": "xx"}, 200, 2),
        ("/compare", GENRM, 422, 2),
        ("/group", {"prompt": "Q", "responses": ["x", "xx"]}, 200, 2),
    ],
)
def test_what_asking_again_does_not_change_is_no_failed_call(
    judge: Running, server: Server, path: str, body: Any, status: int, n_calls: int
) -> None:
    assert [judge.post(path, body)[0] for _ in range(2)] == [status] * 2
    assert len(server.asked) == n_calls


def test_a_stored_reply_without_a_choice_is_kept_and_read_again(server: Server, finish: str, tmp_path: Path) -> None:
    with running(config(server, tmp_path)) as first:
        assert first.post("/score", ROW)[0] == 200
    with running(config(server, tmp_path)) as second:
        [sent] = second.post("/score", ROW)[1]["judgments"]
    assert sent["score"] is None and sent["error"].startswith(REASONS[finish]) and len(server.asked) == 1
    [path] = (tmp_path / "out").glob("scores-*.jsonl")
    [row] = read_rows(path, Judgment)
    assert row.replies == ['"I cannot say"'] and row.finish_reasons == [finish] and has_every_reply(row)
    read = score_of(all_samples(row), How(load_rubric(row.rubric), "logprobs", "mean"))
    assert read.value is None and str(read.error).startswith(REASONS[finish])
