"""A panel of served judges of which some are down: the others vote, and nothing ends well that nobody judged."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from console.errors import EngineError, InputError
from engines.scripted import ScriptedEngine
from judges.compare import __main__ as compare
from judges.score import __main__ as score
from tests.judges.opened import patch_open_engine
from tests.openai_server import Server, completion, running, token

N = 3
DOWN = "http://127.0.0.1:9/v1"


@pytest.fixture
def server(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Server:
    monkeypatch.setattr("engines.served.lookup.FIRST_WAIT_S", 0.0)
    monkeypatch.chdir(tmp_path)
    rows = [{"id": f"r{n}", "prompt": f"Q{n}", "response": f"answer {n}"} for n in range(N)]
    Path("answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pairs = [{"prompt": f"Q{n}", "chosen": f"left {n}", "rejected": f"right {n}"} for n in range(N)]
    Path("pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pairs))
    server.answer = good
    return server


def good(body: Any) -> Any:
    text = body["messages"][-1]["content"]
    left_first = "left " not in text or text.index("left ") < text.index("right ")
    return completion("Score: 4\nBetter: " + ("A" if left_first else "B"))


def run(command: Any, *judges: str, flags: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    file = "pairs.jsonl" if command is compare else "answers.jsonl"
    named = [word for judge in judges for word in ("--judge", judge)]
    text = ("--read", "text", "--samples", "1", "--max-failures-in-row", "3", "--out", "p.jsonl", *flags)
    command.main(parse(command.Config, [file, *named, "--api-key-env", "NO_KEY", *text], "prog"))
    return [json.loads(line) for line in Path("p.jsonl").read_text().splitlines()]


def verdict(row: dict[str, Any]) -> Any:
    return row.get("winner", row.get("score"))


BOTH = pytest.mark.parametrize(("command", "wanted"), [(score, 4.0), (compare, "a")], ids=["score", "compare"])


@BOTH
def test_the_judges_that_answer_vote_and_the_one_that_is_down_is_asked_at_the_next_start(
    server: Server, command: Any, wanted: object, capsys: pytest.CaptureFixture[str]
) -> None:
    with running() as other:
        other.get = lambda _: (503, {})
        other.answer = lambda _: (503, {"error": {"message": "loading"}})
        judges = (f"one@{server.url}", f"two@{server.url}", f"three@{other.url}")
        rows = run(command, *judges)
        assert [verdict(row) for row in rows] == [wanted] * N and {row["n_samples"] for row in rows} == {2}
        assert "three has no vote" in capsys.readouterr().err
        n = len(server.asked)
        other.answer = good
        rows = run(command, *judges)
        assert {row["n_samples"] for row in rows} == {3} and len(server.asked) == n


@BOTH
def test_a_panel_none_of_whose_judges_answers_fails(server: Server, command: Any, wanted: object) -> None:
    with pytest.raises(EngineError, match=f"no judge of the panel came to {N} of {N}"):
        run(command, f"one@{DOWN}", f"two@{DOWN}")
    rows = run(command, f"one@{server.url}", f"two@{server.url}")
    assert [verdict(row) for row in rows] == [wanted] * N


@BOTH
def test_under_the_quorum_no_row_has_a_verdict_and_each_says_why(server: Server, command: Any, wanted: object) -> None:
    rows = run(command, f"one@{server.url}", f"two@{DOWN}", flags=("--min-coverage", "0"))
    assert [verdict(row) for row in rows] == [None] * N
    assert all("1 of 2 judges have a verdict" in row["error"] and "no row" in row["error"] for row in rows)


def test_a_judge_without_log_probabilities_has_no_vote(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    likely: Callable[[Any], Any] = lambda _: completion("4", logprobs=[token("4", {"4": -0.01})])  # noqa: E731
    with running() as other:
        other.answer = likely
        rows = run(score, f"one@{server.url}", f"two@{other.url}", flags=("--read", "logprobs", "--quorum", "1"))
    assert [row["score"] for row in rows] == [4.0] * N and "one has no vote" in capsys.readouterr().err


@BOTH
def test_two_servers_that_serve_one_name_are_told_apart_before_anything_is_asked(
    server: Server, command: Any, wanted: object
) -> None:
    with running() as other:
        other.answer = good
        judges = (f"m@{server.url}", f"m@{other.url}")
        same = f"--judge m@{other.url}: the panel has the same judge already, --judge m@{server.url}: .*served_as, in"
        with pytest.raises(InputError, match=same):
            run(command, *judges)
        assert not server.asked and not other.asked and not list(Path().glob("p[.-]*"))
        Path("second.toml").write_text(f'model = "m"\nbase_url = "{other.url}"\nserved_as = "m the second"\n')
        rows = run(command, judges[0], "second.toml")
        assert [verdict(row) for row in rows] == [wanted] * N and {row["n_samples"] for row in rows} == {2}


@BOTH
def test_two_models_that_a_person_calls_the_same_are_one_judge(server: Server, command: Any, wanted: object) -> None:
    for name in ("one", "two"):
        Path(f"{name}.toml").write_text(f'model = "{name}"\nbase_url = "{server.url}"\nserved_as = "qwen"\n')
    with pytest.raises(InputError, match="--judge two.toml: the panel has the same judge already, --judge one.toml"):
        run(command, "one.toml", "two.toml")
    assert not server.asked and wanted


@BOTH
def test_two_names_of_one_model_in_this_process_are_one_judge(
    server: Server, command: Any, wanted: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    patch_open_engine(monkeypatch, lambda one: ScriptedEngine(name=one.model, digest="the same"))
    with pytest.raises(InputError, match="--judge ./runs/m: the panel has the same judge already, --judge iter1"):
        run(command, "iter1", "./runs/m", flags=("--run", "r"))
    assert not server.asked and wanted
