import json
from pathlib import Path

import msgspec
import pytest

from console.command import parse
from console.errors import InputError
from judges.score import __main__ as score
from records import Judgment, read_rows
from tests.openai_server import Body, Server, completion


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "answers.jsonl"
    rows = [{"prompt": f"Q{n}", "response": "A" * (n % 9 + 1), "model": f"m{n % 2}"} for n in range(40)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run(server: Server, answers: Path, *arguments: str) -> None:
    flags = ["--model", "m", "--base-url", server.url, "--read", "text", "--samples", "1"]
    score.main(parse(score.Config, [str(answers), *flags, *arguments], "prog"))


def scored(body: Body) -> tuple[int, Body]:
    return completion(f"Score: {len(body['messages'][0]['content']) % 6}")


def rows_in(path: str) -> list[Judgment]:
    """Return the rows in order, without the time that they took."""
    rows = read_rows(Path(path), Judgment)
    replace = msgspec.structs.replace
    return [replace(row, usage=replace(row.usage, seconds=0.0)) for row in rows]


def test_workers_write_the_rows_and_the_table_of_one_process(
    server: Server, answers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answer = scored
    run(server, answers, "--out", "one.jsonl")
    table = capsys.readouterr().out
    run(server, answers, "--out", "two.jsonl", "--workers", "2", "--shard-rows", "8")
    assert capsys.readouterr().out.split("judged by")[0] == table.split("judged by")[0]
    two = rows_in("two.jsonl")
    assert sorted(rows_in("one.jsonl"), key=two.index) == two
    assert [row.prompt for row in two] == [f"Q{n}" for n in range(40)]
    assert len(server.asked) == 80 and not Path("two.jsonl.shards").exists()


def test_a_setting_that_the_server_refuses_is_learned_from_a_worker(server: Server, answers: Path) -> None:
    def answer(body: Body) -> tuple[int, Body]:
        if "top_p" in body:
            return 400, {
                "error": {
                    "message": "Unsupported parameter: 'top_p'",
                    "param": "top_p",
                    "code": "unsupported_parameter",
                }
            }
        return scored(body)

    server.answer = answer
    run(server, answers, "--workers", "2", "--shard-rows", "8", "--out", "j.jsonl")
    assert len(rows_in("j.jsonl")) == 40 and all(row.score is not None for row in rows_in("j.jsonl"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workers", "2", "--judge", "m", "--judge", "n"], "a panel"),
        (["--workers", "2", "--tool", "arithmetic"], "--corpus"),
        (["--workers", "2", "--max-tokens-total", "9"], "--max-cost"),
        (["--shards", "s", "--out", "j.jsonl"], "leave out --out"),
    ],
)
def test_what_one_process_does_is_refused_before_anything_is_read(
    server: Server, answers: Path, arguments: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        run(server, answers, *arguments)
    assert server.asked == []
