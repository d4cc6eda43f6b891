"""A server that lists fewer tokens than it is asked for is asked for as many as it lists, or is no such reading."""

import json
import math
import threading
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from console.errors import EngineError
from engines.protocol import NoLogprobsError, Request
from engines.served.listed import most_listed
from engines.served.openai_engine import OpenAIEngine, open_openai
from judges.score.__main__ import main
from judges.score.options import Config
from tests.openai_server import Server, completion, token

ASK = [Request([{"role": "user", "content": f"question {n}"}], seed=n, labels=("Score",)) for n in range(12)]
FIVE = ["0", "1", "2", "3", "4"]
SIX = [*FIVE, "5"]


def said(message: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "param": param, "code": code}}


STATED: list[tuple[Any, int | None]] = [
    (said("top_logprobs must be <= 5"), 5),
    (said("Invalid value for 'top_logprobs': must be less than or equal to 5.", "top_logprobs"), 5),
    (said("Requested sample logprobs of 20, which is greater than max allowed: 5"), 5),
    ({"detail": [{"type": "less_than_equal", "loc": ["body", "top_logprobs"], "ctx": {"le": 5}, "input": 20,
                  "msg": "Input should be less than or equal to 5"}]}, 5),
    (said("Invalid 'top_logprobs': integer above maximum value. Expected a value <= 8, but got 20 instead.",
          "top_logprobs", "integer_above_max_value"), 8),
    (said("20 is greater than the maximum of 5 - 'top_logprobs'"), 5),
    (said("top_logprobs must be between 0 and 5"), 5),
    (said("'top_logprobs' must be in range [0, 5]"), 5),
    (said("logprobs should be in the range [0,20)"), 19),
    (said("top_logprobs: ensure this value is less than 6"), 5),
    (said("`top_logprobs` must be an integer from 0 to 5"), 5),
    (said("The number of logprobs is limited to 5."), 5),
    (said("only 5 top_logprobs are allowed"), 5),
    (said("top_logprobs must be 0-5"), 5),
    (said("Invalid parameter: top_logprobs=20 exceeds the limit of 5"), 5),
    (said("you can request at most 1 logprobs"), 1),
    ({"message": "top_logprobs (20) is too large; max 10"}, 10),
    ({"error": "top_logprobs must be at most 5"}, 5),
    ("top_logprobs must be <= 5", 5),
    (said("top_logprobs out of range"), None),
    (said("top_logprobs must be <= 20"), None),
    (said("top_logprobs is not supported"), None),
    (said("top_logprobs must be below what section 4.5 of gpt-4 says"), None),
    (said("top_logprobs must be 5 at most, or 10 at most for others"), None),
    (said("This model's maximum context length is 15 tokens"), None),
    (said("max_tokens must be at most 16", "max_tokens"), None),
    (said("the prompt may have at most 5 messages"), None),
]  # fmt: skip


@pytest.mark.parametrize(("body", "most"), STATED, ids=range(len(STATED)))
def test_the_number_that_a_server_states_is_read(body: Any, most: int | None) -> None:
    data = (body if isinstance(body, str) else json.dumps(body)).encode()
    assert most_listed(400, data, 20) == most
    assert most_listed(401, data, 20) is None and most_listed(400, data, None) is None
    assert most is None or most_listed(400, data, most) is None


@pytest.fixture
def server(server: Server) -> Server:
    server.answer = lists(5)
    return server


def lists(most: int, message: str = "top_logprobs must be <= {most}") -> Any:
    def answer(body: dict[str, Any]) -> Any:
        if body.get("top_logprobs", 0) > most:
            return 400, said(message.format(most=most))
        tops = {str(n): math.log(0.9 if n == 4 else 0.02) for n in range(body["top_logprobs"]) if n < 6}
        return completion("4", logprobs=[token("4", tops)])

    return answer


def engine_of(server: Server) -> OpenAIEngine:
    return open_openai("m", server.url, "NO_KEY", 3)


def test_fewer_listed_tokens_are_asked_for_where_they_are_enough(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    found = list(engine_of(server).choose(ASK, FIVE))
    assert len(found) == len(ASK) and all(one.logprobs[4] == pytest.approx(math.log(0.9)) for one in found)
    assert {body["top_logprobs"] for body in server.asked} == {20, 5}
    assert sum(body["top_logprobs"] == 20 for body in server.asked) <= 3
    assert capsys.readouterr().err.count("m: the server lists 5 tokens at most (400: top_logprobs must be <= 5)") == 1


def test_a_call_that_is_refused_after_others_were_answered_is_made_anew(server: Server) -> None:
    answered, usual = threading.Event(), lists(5)

    def late(body: dict[str, Any]) -> Any:
        if body["seed"] == 0 and body["top_logprobs"] == 20:
            assert answered.wait(20)
        return usual(body)

    server.answer = late
    found = []
    for one in engine_of(server).choose(ASK, FIVE):
        found.append(one)
        if len(found) == 4:  # read from log-probabilities, while the first call is still under way
            answered.set()
    assert len(found) == len(ASK) and all(one.error is None for one in found)


def test_a_server_that_lists_fewer_tokens_than_there_are_choices_gives_no_such_reading(server: Server) -> None:
    with pytest.raises(NoLogprobsError, match=r"m: the server lists 5 tokens at most, too few for the 6 choices \(400"):
        list(engine_of(server).choose(ASK, SIX))
    assert len(server.asked) <= 3


def test_a_number_that_cannot_be_read_is_an_error_too(server: Server) -> None:
    server.answer = lists(5, "top_logprobs is out of range")
    with pytest.raises(NoLogprobsError, match="m: the server does not list 20 tokens .400: top_logprobs is out of"):
        list(engine_of(server).choose(ASK, FIVE))
    assert len(server.asked) <= 3


def test_once_a_server_has_listed_as_many_as_asked_a_refusal_is_one_calls(server: Server) -> None:
    server.answer = lambda body: (400, said("top_logprobs must be <= 5")) if body["seed"] == 7 else lists(20)(body)
    found = {one.index: one for one in open_openai("m", server.url, "NO_KEY", 1).choose(ASK, FIVE)}
    assert "top_logprobs must be <= 5" in str(found[7].error)
    assert all(one.error is None for index, one in found.items() if index != 7)


def scored(server: Server, folder: Path, *flags: str) -> list[dict[str, Any]]:
    rows = [{"id": f"r{n}", "prompt": f"question {n}", "response": f"answer {n}"} for n in range(6)]
    (folder / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    where = ("--engine", "openai", "--model", "m", "--base-url", server.url)
    main(parse(Config, (str(folder / "answers.jsonl"), *where, *flags), "judges.score"))
    found = [path for path in (folder / "runs" / "scores").glob("*.jsonl") if path.stat().st_size]
    return [json.loads(line) for path in found for line in path.read_text().splitlines()]


@pytest.mark.parametrize("out", [(), ("--out", "runs/scores/given.jsonl")], ids=["default", "given"])
def test_how_many_tokens_are_listed_is_part_of_the_judge_and_found_again_at_the_next_start(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    server.answer = lists(6)
    rows = scored(server, tmp_path, *out)
    assert len(rows) == 6 and len({row["judge"] for row in rows}) == 1 and all(row["score"] for row in rows)
    assert sum(body["top_logprobs"] == 6 for body in server.asked) == 6
    assert scored(server, tmp_path, *out) == rows
    assert sum(body["top_logprobs"] == 6 for body in server.asked) == 6, "nothing is paid for twice"
    server.answer = lists(20)
    if not out:
        both = scored(server, tmp_path)
        assert len(both) == 12 and len({row["judge"] for row in both}) == 2


def test_too_few_listed_tokens_name_the_flag(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EngineError, match=r"too few for the 6 choices .*; use --read text$"):
        scored(server, tmp_path)
