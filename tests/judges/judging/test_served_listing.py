"""A server that says what it serves at one time and not at another: no judge becomes another one in silence."""

import json
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from console.errors import InputError
from evals.alpaca import __main__ as alpaca
from evals.reward_model import __main__ as reward_model
from judges.attacks import __main__ as attacks
from judges.best_of import __main__ as best_of
from judges.calibrate import __main__ as calibrate
from judges.compare import __main__ as compare
from judges.score import __main__ as score
from tests.openai_server import Server, completion

N = 4
LISTED = 200, {"object": "list", "data": [{"id": "fake", "root": "org/model"}]}
SILENT = [(503, {}), (429, {}), (404, {}), (401, {}), (200, []), (200, {"data": [{"id": "a"}, {"id": "b"}]})]


@pytest.fixture
def server(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Server:
    monkeypatch.setattr("engines.served.lookup.FIRST_WAIT_S", 0.0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("judges.attacks.attacking.checked", lambda _: ([{"checked": 0}], []))  # asks no server
    monkeypatch.setattr("judges.calibrate.output.draw", lambda _: None)
    rows = [{"id": f"r{n}", "prompt": f"Q{n}", "response": f"answer {n}"} for n in range(N)]
    Path("answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("pairs.jsonl").write_text(json.dumps({"prompt": "Q", "chosen": "a", "rejected": "b"}) + "\n")
    server.answer = lambda _: completion("Score: 4\nBetter: A")
    server.get = lambda _: LISTED
    return server


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


def audit(server: Server, *flags: str) -> None:
    row = {"output_1": "yes", "output_2": "no", "label": 1}
    Path("labelled.jsonl").write_text("".join(json.dumps(row | {"input": f"Q{n}"}) + "\n" for n in range(N)))
    flags = ("labelled.jsonl", "--codes", "1=a,2=b", "--rubric", "pairwise", "--resamples", "10", *flags)
    start(calibrate, server, *flags)


def attack(server: Server, *flags: str) -> None:
    start(attacks, server, "--limit", "4", *flags)


def measure(server: Server, *flags: str) -> None:
    row = {"responses": ["a", "b"], "ranks": [0, 1]}
    Path("ranked.jsonl").write_text("".join(json.dumps(row | {"prompt": f"Q{n}"}) + "\n" for n in range(N)))
    start(reward_model, server, "ranked.jsonl", "--resamples", "10", *flags)


def evaluate(server: Server, *flags: str) -> None:
    rows = [{"instruction": f"Q{n}", "output": f"base {n}", "generator": "base"} for n in range(N)]
    Path("reference.json").write_text(json.dumps(rows))
    changed = [flag.replace("--served-as", "--judge-served-as") for flag in flags]
    asked = ("--model", "fake", "--base-url", server.url, "--served-as", "one", "--judge-model", "fake")
    words = ["--reference", "reference.json", "--judge-rubric", "pairwise", "--judge-read", "text", *asked, *changed]
    alpaca.main(parse(alpaca.Config, words, "prog"))


def start(command: Any, server: Server, *flags: str) -> None:
    where = ["--engine", "openai", "--model", "fake", "--base-url", server.url, "--read", "text", "--samples", "1"]
    command.main(parse(command.Config, [*where, *flags], "prog"))


OTHERS = [audit, attack, measure, evaluate]


@pytest.mark.parametrize("silent", SILENT, ids=str)
@pytest.mark.parametrize("command", OTHERS, ids=lambda command: command.__name__)
def test_no_other_command_asks_anew_where_the_server_may_say_later_what_it_serves(
    server: Server, command: Any, silent: tuple[int, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    command(server)
    n = len(server.asked)
    server.get = lambda _: silent
    if silent[0] in (503, 429):
        with pytest.raises(InputError, match="/models.*--(judge-)?served-as") as caught:
            command(server)
        assert len(server.asked) == n and ("--judge-served-as" in str(caught.value)) == (command is evaluate)
        server.get = lambda _: LISTED
        command(server)
        assert len(server.asked) == n
    else:
        command(server)
        assert "all is asked anew" in capsys.readouterr().err and len(server.asked) > n


@pytest.mark.parametrize("later", [(503, {}), (404, {}), (200, {"data": [{"id": "fake", "root": "org/another"}]})])
@pytest.mark.parametrize("command", [audit, attack], ids=lambda command: command.__name__)
def test_an_output_that_was_given_is_not_gone_on_with_by_another_model_of_the_name(
    server: Server, command: Any, later: tuple[int, Any]
) -> None:
    out = ("--out", "out" if command is audit else "out.jsonl")
    command(server, *out)
    n = len(server.asked)
    server.get = lambda _: later
    with pytest.raises(InputError, match="holds rows of another judge"):
        command(server, *out)
    assert len(server.asked) == n
    command(server, *out, "--fresh")
    assert len(server.asked) == 2 * n


@pytest.mark.parametrize("command", OTHERS, ids=lambda command: command.__name__)
def test_a_name_that_a_person_gives_stands_for_the_model_whatever_its_server_says(server: Server, command: Any) -> None:
    command(server, "--served-as", "mine")
    n = len(server.asked)
    for later in ((503, {}), (404, {}), (200, {"data": [{"id": "fake", "root": "org/another"}]})):
        server.get = lambda _, later=later: later
        command(server, "--served-as", "mine")
    assert len(server.asked) == n


@pytest.mark.parametrize("status", [503, 404])
def test_the_answers_of_a_model_are_not_asked_anew_where_its_server_may_say_later_what_it_serves(
    server: Server, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--model", "fake", "--base-url", server.url, "--judge-served-as", "mine", "--judge-read", "text"]
    Path("reference.json").write_text(json.dumps([{"instruction": "Q", "output": "base", "generator": "base"}]))
    words = ["--reference", "reference.json", "--judge-rubric", "pairwise", *where]
    alpaca.main(parse(alpaca.Config, words, "prog"))
    n = len(server.asked)
    server.get = lambda _: (status, {})
    if status == 503:
        with pytest.raises(InputError, match="may have the answers of fake.*--served-as with"):
            alpaca.main(parse(alpaca.Config, words, "prog"))
        assert len(server.asked) == n
    else:
        alpaca.main(parse(alpaca.Config, words, "prog"))
        assert "may have the answers of fake" in capsys.readouterr().err and len(server.asked) > n
