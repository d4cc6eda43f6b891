import json
from pathlib import Path

import pytest

from console.command import parse
from console.errors import InputError
from engines.candidates import __main__ as candidates
from engines.shards.folder import Folder
from engines.shards.plan import read_plan
from engines.shards.share import shared_rows
from records import Response, read_rows
from tests.openai_server import Body, Server, completion


@pytest.fixture
def prompts(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Prompts, and a server whose answer says what it was asked, with the seed."""
    monkeypatch.chdir(tmp_path)
    rows = [{"id": f"p{n}", "prompt": f"Question {n}"} for n in range(10)]
    Path("prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, rows[3]]))
    server.answer = lambda body: completion(f"{body['messages'][-1]['content']}, {body['seed']}")
    return Path("prompts.jsonl")


def run(server: Server, prompts: Path, *arguments: str) -> None:
    flags = ["--model", "m", "--base-url", server.url, "--n", "3"]
    candidates.main(parse(candidates.Config, [str(prompts), *flags, *arguments], "prog"))


def answers_in(path: str) -> list[Response]:
    return list(read_rows(Path(path), Response))


def test_each_prompt_gets_n_answers_and_each_its_own_seed(
    server: Server, prompts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(server, prompts, "--out", "a.jsonl")
    rows = answers_in("a.jsonl")
    assert len(rows) == 30 and len({row.response for row in rows}) == 30
    assert all(row.response == f"{row.prompt}, {row.seed}" for row in rows)
    assert "| m     |      30 |       0 |" in capsys.readouterr().out
    run(server, prompts, "--out", "a.jsonl")
    assert len(server.asked) == 30
    with pytest.raises(InputError, match="holds answers to other prompts"):
        run(server, prompts, "--out", "a.jsonl", "--temperature", "0.1")


@pytest.mark.usefixtures("workers")
def test_workers_and_machines_write_the_answers_of_one_process(server: Server, prompts: Path) -> None:
    run(server, prompts, "--out", "one.jsonl")
    one = answers_in("one.jsonl")
    run(server, prompts, "--out", "two.jsonl", "--workers", "1", "--shard-rows", "8")
    assert sorted(one, key=answers_in("two.jsonl").index) == answers_in("two.jsonl")
    run(server, prompts, "--shards", "s", "--shard-rows", "8")
    plan = read_plan(Folder("s"))
    assert plan is not None
    assert [row for _, row in shared_rows(Folder("s"), plan, Response)] == answers_in("two.jsonl")


def test_an_answer_that_fails_is_counted_and_asked_for_again(
    server: Server, prompts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(body: Body) -> tuple[int, Body]:
        if body["messages"][-1]["content"] == "Question 4":
            return 400, {"error": {"message": "too long"}}
        return completion("ok")

    server.answer = failing
    run(server, prompts, "--shards", "s", "--shard-rows", "8")
    captured = capsys.readouterr()
    assert "3 of 30 answers are missing" in captured.err and "| m     |      27 |       3 |" in captured.out
    server.answer = lambda _: completion("ok")
    n_calls = len(server.asked)
    run(server, prompts, "--shards", "s", "--shard-rows", "8")
    assert "| m     |      30 |       0 |" in capsys.readouterr().out and len(server.asked) == n_calls + 3


def test_a_dry_run_asks_nothing(server: Server, prompts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(server, prompts, "--dry-run")
    assert "would write 30 answers of m to runs/answers/prompts-" in capsys.readouterr().out
    assert server.asked == [] and not Path("runs").exists()
