import json
from pathlib import Path

import msgspec
import pytest

from console.command import parse
from judges.compare import __main__ as compare
from records import Comparison, read_rows
from tests.openai_server import Body, Server, completion


@pytest.fixture
def pairs(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pairs of which the longer answer is better, and a server that says so."""
    monkeypatch.chdir(tmp_path)
    rows = [{"prompt": f"Q{n}", "response_a": "A" * (n % 5 + 1), "response_b": "A" * (n % 3 + 1)} for n in range(12)]
    Path("pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, rows[0]]))

    def answer(body: Body) -> tuple[int, Body]:
        text = body["messages"][-1]["content"]
        lengths = [len(part) for part in text.split() if set(part) == {"A"}]
        return completion(f"Verdict: {'A' if lengths[0] > lengths[-1] else 'B'}")

    server.answer = answer
    return Path("pairs.jsonl")


def run(server: Server, pairs: Path, *arguments: str) -> None:
    flags = ["--model", "m", "--base-url", server.url, "--read", "text"]
    compare.main(parse(compare.Config, [str(pairs), *flags, *arguments], "prog"))


def rows_in(path: str) -> list[Comparison]:
    replace = msgspec.structs.replace
    return [replace(row, usage=replace(row.usage, seconds=0.0)) for row in read_rows(Path(path), Comparison)]


@pytest.mark.usefixtures("workers")
def test_workers_and_machines_compare_as_one_process_does(
    server: Server, pairs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(server, pairs, "--out", "one.jsonl")
    table = capsys.readouterr().out.split("judged by")[0]
    run(server, pairs, "--out", "two.jsonl", "--workers", "1", "--shard-rows", "5")
    assert capsys.readouterr().out.split("judged by")[0] == table
    run(server, pairs, "--shards", "s", "--shard-rows", "5")
    shared = capsys.readouterr().out
    assert shared.partition("|")[2].splitlines()[2:3] == table.partition("|")[2].splitlines()[2:3]
    one = rows_in("one.jsonl")
    assert sorted(one, key=rows_in("two.jsonl").index) == rows_in("two.jsonl")
    assert [row.prompt for row in rows_in("two.jsonl")] == [f"Q{n}" for n in range(12)]
    assert any(row.winner is not None for row in one)
