"""AlpacaEval with a server's model: what is no answer is none, from the reply to the denominator."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from console.errors import InputError
from evals.alpaca.__main__ import main
from evals.alpaca.options import Config
from records import Comparison, Response, read_rows
from tests.openai_server import Server, completion, token

N = 8
NONE: dict[int, Any] = {
    0: completion(None),
    1: completion("", tool_calls=[{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]),
    2: completion("Some of it", "content_filter"),
    3: completion(None, "content_filter"),
    4: completion("", "length", reasoning_content="Let me think"),
    5: (200, {"error": {"message": "flagged", "code": 400}}),
}
"""What the server says to a question in place of an answer."""


@pytest.fixture
def server(server: Server) -> Server:
    server.answer = answer
    return server


def answer(body: dict[str, Any]) -> Any:
    """Answer the questions that NONE has nothing for; as the judge prefer answer b."""
    text = body["messages"][-1]["content"]
    if "logprobs" in body:
        return completion("b", logprobs=[token("b", {"b": math.log(0.8), "a": math.log(0.2)})])
    number = int(text.split()[-1])
    return NONE.get(number) or completion(f"an answer to {number}")


def evaluated(server: Server, tmp_path: Path, *more: str, out: str = "out") -> list[dict[str, Any]]:
    reference = tmp_path / "reference.json"
    rows = [{"instruction": f"question {n}", "output": f"base {n}", "generator": "base"} for n in range(N)]
    reference.write_text(json.dumps(rows), encoding="utf-8")
    flags = ("--model", "fake", "--base-url", server.url, "--reference", str(reference), "--out", str(tmp_path / out))
    main(parse(Config, (*flags, "--judge-rubric", "pairwise", "--min-coverage", "0", *more), "evals.alpaca"))
    found: list[dict[str, Any]] = json.loads((tmp_path / out / "annotations.json").read_text(encoding="utf-8"))
    return found


def test_what_is_no_answer_has_no_preference_and_is_asked_for_again(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = evaluated(server, tmp_path)
    assert len(rows) == N
    for number, row in enumerate(rows):
        assert (row["preference"] is None) == (number in NONE) == (row["output_2"] is None)
        assert (row.get("error") == "the model gave no answer") == (number in NONE)
    said = capsys.readouterr().err
    for reason in ("the reply is empty", "it only calls tools", "content_filter", "inside its reasoning", "flagged"):
        assert reason in said
    assert f"fake answering: {len(NONE)} of {N} answers are missing" in said
    assert len(list(read_rows(tmp_path / "out" / "comparisons.jsonl", Comparison))) == N - len(NONE)
    server.asked.clear()
    server.answer = lambda body: answer(body) if "logprobs" in body else completion("now there is one")
    assert all(row["preference"] is not None for row in evaluated(server, tmp_path))
    assert sum("logprobs" not in body for body in server.asked) == len(NONE)
    assert len(list(read_rows(tmp_path / "out" / "responses.jsonl", Response))) == N


@pytest.mark.parametrize("thought", ["<think>\nhmm, which?\n</think>\n\n", "[THINK]hmm[/THINK]", "hmm</think>\n"])
def test_reasoning_in_an_answer_is_kept_and_neither_judged_nor_measured(
    server: Server, tmp_path: Path, thought: str
) -> None:
    def thinking(body: dict[str, Any]) -> Any:
        return answer(body) if "logprobs" in body else completion(f"{thought}Real answer")

    server.answer = thinking
    rows = evaluated(server, tmp_path)
    assert {row["output_2"] for row in rows} == {"Real answer"}
    assert {row["output"] for row in json.loads((tmp_path / "out/model_outputs.json").read_text())} == {"Real answer"}
    judged = [body for body in server.asked if "logprobs" in body]
    assert len(judged) == 2 * N and not any("hmm" in json.dumps(body) for body in judged)
    kept = {row.response for row in read_rows(tmp_path / "out" / "responses.jsonl", Response)}
    assert kept == {f"{thought}Real answer"}


@pytest.mark.usefixtures("workers")
def test_workers_make_the_results_of_one_process_and_ask_again_what_failed(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = evaluated(server, tmp_path, out="one")
    n_calls = len(server.asked)
    assert evaluated(server, tmp_path, "--workers", "2", out="two") == one
    assert len(server.asked) == 2 * n_calls
    assert f"fake answering: {len(NONE)} of {N} answers are missing" in capsys.readouterr().err
    for kind in ("responses", "comparisons"):
        assert not (tmp_path / "two" / f"{kind}.jsonl.shards").exists()
    server.answer = lambda body: answer(body) if "logprobs" in body else completion("now there is one")
    assert all(row["preference"] is not None for row in evaluated(server, tmp_path, "--workers", "1", out="two"))
    assert len(server.asked) == 2 * n_calls + 3 * len(NONE)  # an answer, and a verdict in each order


def test_ray_without_workers_is_refused(server: Server, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--workers"):
        evaluated(server, tmp_path, "--on", "ray")
    assert not server.asked
