"""The plan of a command with --shards: what the command itself would refuse, and nothing of another job."""

import json
from pathlib import Path

import pytest

from console.command import parse
from console.errors import InputError
from engines.candidates import __main__ as candidates
from engines.shards.folder import Folder
from engines.shards.plan import manifest, read_plan
from judges.compare import __main__ as compare
from judges.score import __main__ as score
from tests.openai_server import Server, completion


@pytest.fixture
def answers(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of answers, and a server that says more of its model than the name."""
    monkeypatch.chdir(tmp_path)
    server.answer = lambda _: completion("Score: 3")
    server.get = lambda _: (200, {"data": [{"id": "m", "root": "weights"}]})
    rows = [{"prompt": f"Q{n}", "response": "A", "model": "m0"} for n in range(20)]
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run(server: Server, file: Path, *arguments: str) -> None:
    flags = ["--model", "m", "--base-url", server.url, "--read", "text", "--samples", "1", "--shards", "s"]
    score.main(parse(score.Config, [str(file), *flags, *arguments], "prog"))


def test_a_plan_counts_the_shards_of_this_job_alone_and_calls_no_model(
    server: Server, answers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(server, answers, "--dry-run")
    assert "no shards yet" in capsys.readouterr().out and not Path("s").exists()
    run(server, answers, "--shard-rows", "5")
    server.asked.clear()
    run(server, answers, "--dry-run")
    assert "4 of 4 shards are done, 20 rows in all, 0 of them failed" in capsys.readouterr().out
    run(server, answers, "--dry-run", "--scale", "--json")
    assert json.loads(capsys.readouterr().out)[0]["rows"] == 20
    other = answers.with_name("other.jsonl")
    other.write_text('{"prompt": "Q", "response": "A", "model": "m0"}\n')
    run(server, other, "--dry-run")
    assert "its shards are of another input; the first machine cuts" in capsys.readouterr().out
    run(server, other, "--dry-run", "--scale", "--json")
    assert json.loads(capsys.readouterr().out)[0]["rows"] == 1
    assert server.asked == []


@pytest.mark.parametrize(
    ("file", "arguments", "message"),
    [
        ("answers.jsonl", ["--samples", "3"], "holds rows of another job"),
        ("answers.jsonl", ["--rubric", "single_10"], "holds rows of another job"),
        ("answers.jsonl", ["--shard-kind", "parquet"], "holds rows of another job"),
        ("answers.jsonl", ["--shard-rows", "6"], "holds shards of 5 rows, not 6.* leave out --shard-rows"),
        ("nothing.jsonl", [], "nothing.jsonl: no such file"),
    ],
)
def test_a_plan_refuses_what_the_command_refuses(
    server: Server, answers: Path, file: str, arguments: list[str], message: str
) -> None:
    run(server, answers, "--shard-rows", "5")
    for plan in (["--dry-run"], ["--dry-run", "--scale"], []):
        with pytest.raises(InputError, match=message):
            run(server, Path(file), *arguments, *plan)
    assert len(server.asked) == 20


def test_a_grown_input_keeps_the_size_of_its_shards_so_that_none_is_paid_for_again(
    server: Server, answers: Path
) -> None:
    run(server, answers, "--shard-rows", "5")
    with answers.open("a") as file:
        file.write('{"prompt": "Q20", "response": "A", "model": "m0"}\n')
    run(server, answers)
    plan = read_plan(Folder("s"))
    assert plan is not None and [line.rows for line in manifest(Folder("s"), plan)] == [5] * 4 + [1]
    assert len(server.asked) == 21


def test_a_plan_knows_the_rows_of_a_judge_whose_server_refuses_a_setting(
    server: Server, answers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refusal = {"message": "Unsupported parameter: 'top_p'", "param": "top_p", "code": "unsupported_parameter"}
    server.answer = lambda body: (400, {"error": refusal}) if "top_p" in body else completion("Score: 3")
    run(server, answers)
    capsys.readouterr()
    run(server, answers, "--dry-run")
    assert "1 of 1 shards are done" in capsys.readouterr().out


def test_plans_of_comparisons_and_of_answers_refuse_another_job_too(
    server: Server, answers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("pairs.jsonl").write_text('{"prompt": "Q", "response_a": "A", "response_b": "B"}\n')
    Path("prompts.jsonl").write_text('{"prompt": "Q"}\n')
    server.answer = lambda _: completion("Verdict: A")
    flags = ["--model", "m", "--base-url", server.url]
    pairs, prompts = [*flags, "--read", "text", "--shards", "c"], [*flags, "--shards", "a"]

    def compared(*arguments: str) -> None:
        compare.main(parse(compare.Config, ["pairs.jsonl", *pairs, *arguments], "prog"))

    def answered(*arguments: str) -> None:
        candidates.main(parse(candidates.Config, ["prompts.jsonl", *prompts, *arguments], "prog"))

    for done, other in ((compared, ["--orders", "one"]), (answered, ["--temperature", "0.2"])):
        done()
        capsys.readouterr()
        done("--dry-run")
        assert "1 of 1 shards are done" in capsys.readouterr().out
        with pytest.raises(InputError, match="holds rows of another job"):
            done(*other, "--dry-run")
