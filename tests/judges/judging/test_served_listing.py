"""A server that says what it serves at one time and not at another: no judge becomes another one in silence."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from console.errors import InputError
from judges.best_of import __main__ as best_of
from judges.compare import __main__ as compare
from judges.score import __main__ as score
from tests.openai_server import Server, completion, running

N = 4
LISTED = 200, {"object": "list", "data": [{"id": "fake", "root": "org/model"}]}
SILENT = [(503, {}), (429, {}), (404, {}), (401, {}), (200, []), (200, {"data": [{"id": "a"}, {"id": "b"}]})]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    monkeypatch.setattr("engines.served.lookup.FIRST_WAIT_S", 0.0)
    monkeypatch.chdir(tmp_path)
    rows = [{"id": f"r{n}", "prompt": f"Q{n}", "response": f"answer {n}"} for n in range(N)]
    Path("answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("pairs.jsonl").write_text(json.dumps({"prompt": "Q", "chosen": "a", "rejected": "b"}) + "\n")
    with running() as found:
        found.answer = lambda _: completion("Score: 4\nBetter: A")
        found.get = lambda _: LISTED
        yield found


def run(command: Any, server: Server, *flags: str) -> None:
    asked = ["--engine", "openai", "--model", "fake", "--base-url", server.url, "--api-key-env", "NO_KEY"]
    file = "pairs.jsonl" if command is compare else "answers.jsonl"
    flags = (file, *asked, "--read", "text", "--samples", "1", *flags)
    command.main(parse(command.Config, list(flags), "prog"))


@pytest.mark.parametrize("silent", SILENT, ids=str)
@pytest.mark.parametrize("command", [score, compare, best_of], ids=lambda command: command.__name__)
def test_a_given_output_is_refused_and_named_with_its_cause(
    server: Server, command: Any, silent: tuple[int, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    out = ("--out", "out.jsonl") if command is not best_of else ()
    run(command, server, *out)
    n = len(server.asked)
    server.get = lambda _: silent
    if command is best_of and silent[0] not in (503, 429):
        run(command, server)
        assert "all is asked anew" in capsys.readouterr().err
        return
    with pytest.raises(InputError, match="/models.*--served-as") as caught:
        run(command, server, *out)
    assert "another judge" in str(caught.value) or not out
    assert len(server.asked) == n and "does not say what it serves (/models" in capsys.readouterr().err
    server.get = lambda _: LISTED
    run(command, server, *out)
    assert len(server.asked) == n


@pytest.mark.parametrize("silent", SILENT, ids=str)
def test_a_default_output_beside_anothers_is_not_begun_where_the_server_may_say_more_later(
    server: Server, silent: tuple[int, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run(score, server)
    server.get = lambda _: silent
    if silent[0] in (503, 429):
        with pytest.raises(InputError, match="may be judged already, in answers-.*--served-as"):
            run(score, server)
        assert len(server.asked) == N
        run(score, server, "--served-as", "mine")
    else:
        run(score, server)
        assert "may be judged already, in answers-" in capsys.readouterr().err
    assert len(server.asked) == 2 * N


def test_a_server_that_begins_to_say_what_it_serves_is_another_judge_and_a_line_says_so(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.get = lambda _: (503, {})
    run(score, server)
    assert "known by this name alone" in capsys.readouterr().err
    server.get = lambda _: LISTED
    run(score, server)
    assert "its server says now what it serves" in capsys.readouterr().err
    assert len(server.asked) == 2 * N


def test_a_server_that_never_says_goes_on_and_finds_what_it_refuses(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    error = {"message": "not supported with this model", "param": "temperature", "code": "unsupported_parameter"}
    server.get = lambda _: (503, {})
    server.answer = lambda body: (400, {"error": error}) if "temperature" in body else completion("Score: 4")
    for _ in range(2):
        run(score, server)
        assert "may be judged already" not in capsys.readouterr().err
    assert sum("temperature" not in body for body in server.asked) == N


def test_a_server_that_lists_the_name_alone_is_told_from_none_that_is_silent(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.get = lambda _: (200, {"data": [{"id": "fake"}]})
    run(score, server)
    assert "does not say what it serves" not in capsys.readouterr().err
