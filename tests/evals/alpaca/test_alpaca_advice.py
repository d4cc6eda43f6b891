"""AlpacaEval names the judge's flags as its own: --judge-read, not --read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from console.errors import EngineError, JudgeError, JudgeloopError
from evals.alpaca.__main__ import main
from evals.alpaca.options import Config
from records import Comparison, read_rows
from tests.openai_server import Server, completion

N = 30
Evaluate = Callable[..., list[str]]


@pytest.fixture
def errors(server: Server, tmp_path: Path) -> Evaluate:
    reference = tmp_path / "reference.json"
    rows = [{"instruction": f"question {n}", "output": f"base {n}", "generator": "base"} for n in range(N)]
    reference.write_text(json.dumps(rows), encoding="utf-8")

    def run(judge: Callable[[dict[str, Any]], Any], *flags: str, error: type[JudgeloopError]) -> list[str]:
        server.answer = lambda body: judge(body) if "base" in body["messages"][-1]["content"] else completion("mine")
        out = tmp_path / "out"
        where = ("--model", "fake", "--base-url", server.url, "--reference", str(reference), "--out", str(out))
        with pytest.raises(error) as caught:
            main(parse(Config, (*where, "--judge-rubric", "pairwise", *flags), "evals.alpaca"))
        stored = out / "comparisons.jsonl"
        found = [row.error or "" for row in read_rows(stored, Comparison)] if stored.exists() else []
        return [str(caught.value), *found]

    return run


def test_a_judge_without_log_probabilities_is_to_be_read_with_judge_read(errors: Evaluate) -> None:
    [error, *_] = errors(lambda _: completion("a"), error=EngineError)
    assert error.endswith("; use --judge-read text")


@pytest.mark.parametrize(
    "cut",
    [
        completion("<think>Answer a is", "length"),
        completion("", "length", reasoning_content="Answer a is"),
        completion("", "length", usage={"completion_tokens_details": {"reasoning_tokens": 256}}),
    ],
    ids=["in the text", "apart", "hidden"],
)
def test_a_judge_that_was_cut_off_inside_its_reasoning_gets_room_with_its_own_flag(errors: Evaluate, cut: Any) -> None:
    [error, *rows] = errors(lambda _: cut, "--judge-read", "text", error=JudgeError)
    assert "cut off inside its reasoning" in error and "--judge-thinking-tokens 4096 makes room" in error
    assert len(rows) == N and all("--judge-thinking-tokens 4096 makes room" in one for one in rows)


def test_the_room_that_is_advised_is_more_than_there_was(errors: Evaluate) -> None:
    cut = completion("<think>Answer a is", "length")
    [error, *_] = errors(lambda _: cut, "--judge-read", "text", "--judge-thinking-tokens", "5000", error=JudgeError)
    assert "--judge-thinking-tokens 10000 makes room" in error


def test_a_judge_that_is_cut_off_in_its_text_gets_longer_replies_with_its_own_flag(errors: Evaluate) -> None:
    [error, *_] = errors(lambda _: completion("Answer a is", "length"), "--judge-read", "text", error=JudgeError)
    assert "raise --judge-max-new-tokens" in error and "accept it with a lower --min-coverage" in error


def test_settings_that_the_judges_server_refuses_are_the_judges(errors: Evaluate) -> None:
    refusal = (400, {"error": {"message": "the reply is too long"}})
    flags = ("--judge-read", "text", "--judge-model", "another")
    [error, *_] = errors(lambda _: refusal, *flags, error=EngineError)
    assert "look at --judge-model" in error and "(--judge-max-new-tokens, --judge-temperature, --judge-omit)" in error
    assert "(--max-failures-in-row sets the limit" in error


@pytest.mark.parametrize(
    ("flags", "room"), [((), "--thinking-tokens 4096"), (("--thinking-tokens", "3000"), "--thinking-tokens 6000")]
)
def test_an_answer_that_was_cut_off_inside_its_reasoning_gets_room_with_the_models_flag(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], room: str
) -> None:
    server.answer = lambda _: completion("<think>Let me", "length")
    prompts = tmp_path / "reference.json"
    prompts.write_text(json.dumps([{"instruction": "q", "output": "base", "generator": "base"}]), encoding="utf-8")
    where = ("--base-url", server.url, "--reference", str(prompts), "--out", str(tmp_path / "out"))
    with pytest.raises(JudgeloopError):
        main(parse(Config, ("--model", "fake", *where, "--judge-rubric", "pairwise", *flags), "evals.alpaca"))
    assert f"the reply stops inside its reasoning; {room} makes room for it" in capsys.readouterr().err
