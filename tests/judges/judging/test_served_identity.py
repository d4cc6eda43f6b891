"""Judges behind servers: the same wherever the server is, another where it serves or is sent something else."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from console.errors import EngineError, InputError
from engines.options import EngineOptions, open_engine
from engines.protocol import NoLogprobsError, Request, Sampling
from engines.served.openai_engine import OpenAIEngine, open_openai
from evals.comparing.flags import JudgeFlags
from judges import Judge
from judges.compare import __main__ as compare
from judges.judging.judge import Judge as WholeJudge
from judges.judging.judge import open_judge
from judges.options import JudgeOptions
from judges.panels.panel import member_named
from judges.score import __main__ as score
from tests.openai_server import Body, Server, completion, running

ASK = [Request([{"role": "user", "content": f"question {number}"}], seed=number) for number in range(5)]
N = 6


@pytest.fixture
def server(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Server:
    monkeypatch.chdir(tmp_path)
    rows = [{"id": f"r{n}", "prompt": f"Q{n}", "response": f"answer {n}"} for n in range(N)]
    Path("answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    server.answer = lambda _: completion("Score: 4")
    return server


def engine_of(url: str, name: str = "m", **options: Any) -> OpenAIEngine:
    return open_openai(name, url, "NO_KEY", concurrency=2, **options)


def judge_of(url: str, name: str = "m", **options: Any) -> WholeJudge:
    return open_judge(engine_of(url, name, **options), JudgeOptions(read="text", samples=1), 0)


def refuses(*names: str, answer: str = "Score: 4") -> Any:
    """A server that takes no call with any of these parameters."""

    def answered(body: Body) -> tuple[int, Any]:
        for name in names:
            if name in body:
                message = f"Unsupported parameter: '{name}' is not supported with this model."
                return 400, {"error": {"message": message, "param": name, "code": "unsupported_parameter"}}
        return completion(answer)

    return answered


def scored(server: Server, *flags: str) -> list[Any]:
    """Score the answers by the command, and return the rows that it wrote."""
    arguments = ["answers.jsonl", "--engine", "openai", "--model", "fake", "--base-url", server.url, "--read", "text"]
    score.main(parse(score.Config, [*arguments, "--samples", "1", "--api-key-env", "NO_KEY", *flags], "prog"))
    paths = list(Path("runs/scores").glob("*.jsonl"))
    assert len(paths) == 1
    return [json.loads(line) for line in paths[0].read_text().splitlines()]


def test_a_judge_is_the_same_wherever_its_server_is(server: Server) -> None:
    urls = [server.url, server.url.replace("127.0.0.1", "localhost"), server.url.removesuffix("/v1"), server.url + "/"]
    urls += ["http://localhost:1/v1", "http://user:key@127.0.0.1:1/v1?key=k"]
    assert len({judge_of(url).fingerprint for url in urls}) == 1
    assert judge_of(server.url, "another").fingerprint != judge_of(server.url).fingerprint


def test_what_the_server_says_of_its_model_is_in_the_fingerprint(server: Server) -> None:
    entry = {"id": "m", "object": "model", "created": 1, "owned_by": "vllm", "root": "org/model"}

    def listed(path: str) -> tuple[int, Any]:
        return (200, {"data": [entry]}) if path == "/v1/models" else (404, {})

    plain = judge_of(server.url).fingerprint
    server.get = listed
    told = judge_of(server.url).fingerprint
    entry["created"] = 2
    assert told == judge_of(server.url).fingerprint == judge_of(server.url.removesuffix("/v1")).fingerprint != plain
    entry["revision"] = "another"
    assert told != judge_of(server.url).fingerprint
    assert len(server.asked) == 0 and server.gets[:2] == ["/v1/models", "/v1/models"]


def test_a_given_name_stands_for_the_model_and_asks_nothing(server: Server) -> None:
    found = {judge_of(server.url, name, served_as="mine").fingerprint for name in ("m", "alias")}
    assert len(found) == 1 and not server.gets
    with pytest.raises(InputError, match="--served-as names a model behind a server"):
        open_engine(EngineOptions(served_as="mine"))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 501, 503])
def test_a_server_that_lists_no_models_works(server: Server, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engines.served.lookup.FIRST_WAIT_S", 0.0)
    server.get = lambda _: (status, {"error": "no"})
    judge = judge_of(server.url)
    assert judge.fingerprint == judge_of("http://localhost:1/v1").fingerprint
    assert Judge(judge).score(["Q"], ["A"])[0].score == 4


def test_a_server_elsewhere_goes_on_where_the_first_one_stopped(server: Server) -> None:
    rows = scored(server)
    with running() as other:
        other.answer = lambda _: completion("Score: 1")
        assert scored(other) == rows and not other.asked
    server.get = lambda _: (200, {"data": [{"id": "fake", "root": "fake"}]})
    assert scored(server) == rows


def test_a_dry_run_asks_a_server_nothing(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--engine", "openai", "--model", "fake", "--base-url", server.url, "--api-key-env", "NO_KEY", "--dry-run"]
    score.main(parse(score.Config, ["answers.jsonl", *flags], "prog"))
    assert not server.gets and not server.asked
    assert "its server is not asked what it serves" in capsys.readouterr().err


def test_a_parameter_that_is_left_out_is_not_sent_and_in_the_fingerprint(server: Server) -> None:
    engine = engine_of(server.url, omit=("temperature", "seed"))
    list(engine.generate(ASK, Sampling()))
    assert all(not {"temperature", "seed"} & body.keys() and "top_p" in body for body in server.asked)
    prints = [judge_of(server.url, omit=omit).fingerprint for omit in ((), ("seed",), ("seed", "top_p"))]
    assert len(set(prints)) == 3
    assert judge_of(server.url, omit=("top_p", "seed")).fingerprint == prints[2]


@pytest.mark.parametrize("names", [("temperature",), ("temperature", "top_p"), ("seed",), ("top_p", "seed")])
def test_a_refused_parameter_is_dropped_once_for_all_calls(
    server: Server, names: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    server.answer = refuses(*names)
    engine = engine_of(server.url)
    found = list(engine.generate(ASK * 4, Sampling()))
    assert len(found) == 20 and all(one.error is None and one.text == "Score: 4" for one in found)
    n_refused = len(server.asked) - 20
    assert len(names) <= n_refused <= 2 * len(names)
    assert sum(one.n_calls for one in found) == len(server.asked) and sum(one.n_failed for one in found) == n_refused
    said = capsys.readouterr().err
    assert all(said.count(f"the server refuses {name}") == 1 for name in names)


def test_the_name_of_the_longest_length_is_exchanged(server: Server) -> None:
    message = (
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    )
    refusal = 400, {"error": {"message": message, "param": "max_tokens", "code": "unsupported_parameter"}}
    server.answer = lambda body: refusal if "max_tokens" in body else completion("ok")
    engine = engine_of(server.url)
    before = engine.digest
    found = list(engine.generate(ASK, Sampling(9)))
    assert all(one.text == "ok" for one in found) and server.asked[-1]["max_completion_tokens"] == 9
    assert engine.digest == before  # the same length under another name


def test_a_refused_stop_is_made_up_for(server: Server) -> None:
    server.answer = refuses("stop", answer="one END two")
    [found] = engine_of(server.url).generate(ASK[:1], Sampling(stop=("END", "two")))
    assert (found.text, found.finish_reason) == ("one ", "stop")


@pytest.mark.parametrize("message", ["maximum context length is 9 tokens", "messages: roles must alternate", "no"])
def test_another_refusal_is_its_rows_error_and_drops_nothing(server: Server, message: str) -> None:
    error = {"error": {"message": message, "param": "messages", "code": None}}
    server.answer = lambda body: (400, error) if body["seed"] == 1 else completion("ok")
    found = {one.index: one for one in engine_of(server.url).generate(ASK, Sampling())}
    assert message in str(found[1].error) and all(found[index].text == "ok" for index in (0, 2, 3, 4))
    assert all({"temperature", "top_p", "seed"} <= body.keys() for body in server.asked)
    assert len(server.asked) == len(ASK)


@pytest.mark.parametrize("name", ["logprobs", "top_logprobs"])
def test_refused_log_probabilities_are_an_error_not_another_reading(server: Server, name: str) -> None:
    server.answer = refuses(name)
    with pytest.raises(NoLogprobsError, match=f"no log-probabilities.*{name}"):
        list(engine_of(server.url).choose(ASK, ["3", "4"]))
    assert len(server.asked) <= 4


def test_a_refused_schema_is_an_error_not_another_reading(server: Server) -> None:
    server.answer = refuses("response_format")
    judge = open_judge(engine_of(server.url), JudgeOptions(read="structured", samples=1), 0)
    with pytest.raises(EngineError, match="takes no JSON schema.*--read text"):
        Judge(judge).score(["Q"], ["A"])


def test_a_command_settles_what_is_sent_before_any_row_is_written(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answer = refuses("temperature", "top_p")
    rows = scored(server)
    assert [row["score"] for row in rows] == [4] * N and len({row["judge"] for row in rows}) == 1
    said = capsys.readouterr().err
    assert "the server refuses temperature" in said and "starting again" in said
    n_answered = sum("temperature" not in body and "top_p" not in body for body in server.asked)
    assert n_answered == N
    assert scored(server) == rows  # a second start asks for no paid row again
    assert sum("temperature" not in body and "top_p" not in body for body in server.asked) == N
    assert scored(server, "--omit", "temperature", "--omit", "top_p") == rows
    assert rows[0]["judge"] == judge_of(server.url, "fake", omit=("top_p", "temperature")).fingerprint


def test_an_output_of_a_given_name_is_gone_on_with_by_the_judge_that_wrote_it(server: Server) -> None:
    server.answer = refuses("temperature")
    rows = scored(server, "--out", "runs/scores/j.jsonl", "--limit", "3")
    n_answered = sum("temperature" not in body for body in server.asked)
    assert len(rows) == 3 and scored(server, "--out", "runs/scores/j.jsonl", "--limit", "3") == rows
    assert sum("temperature" not in body for body in server.asked) == n_answered
    rows = scored(server, "--out", "runs/scores/j.jsonl")
    assert len(rows) == N and len({row["judge"] for row in rows}) == 1
    server.answer = lambda _: completion("Score: 1")  # it takes a temperature now: another judge
    with pytest.raises(InputError, match="another judge"):
        scored(server, "--out", "runs/scores/j.jsonl")
    assert scored(server, "--out", "runs/scores/j.jsonl", "--omit", "temperature") == rows


def test_a_comparison_settles_what_is_sent_too(server: Server) -> None:
    server.answer = refuses("seed", answer="Better: A")
    Path("pairs.jsonl").write_text(json.dumps({"prompt": "Q", "chosen": "a", "rejected": "b"}) + "\n")
    flags = ["--engine", "openai", "--model", "fake", "--base-url", server.url, "--api-key-env", "NO_KEY"]
    flags += ["--read", "text", "--samples", "1", "--rubric", "pairwise", "--out", "c.jsonl"]
    compare.main(parse(compare.Config, ["pairs.jsonl", *flags], "prog"))
    [row] = map(json.loads, Path("c.jsonl").read_text().splitlines())
    assert row["flipped"] is True and sum("seed" not in body for body in server.asked) == 2


def test_the_library_settles_what_is_sent_too(server: Server) -> None:
    server.answer = refuses("temperature")
    judge = judge_of(server.url)
    before = judge.fingerprint
    [row] = Judge(judge).score(["Q"], ["A"])
    assert row.score == 4 and row.judge == judge.fingerprint != before
    assert row.judge == judge_of(server.url, omit=("temperature",)).fingerprint


def test_room_for_reasoning_is_added_to_every_call(server: Server) -> None:
    engine = engine_of(server.url, thinking_tokens=1000)
    list(engine.generate(ASK[:1], Sampling(9)))
    assert server.asked[0]["max_tokens"] == 1009
    with pytest.raises(NoLogprobsError):
        list(engine.choose(ASK[:1], ["3", "4"]))
    assert server.asked[1]["max_tokens"] == 1008
    assert engine.digest != engine_of(server.url).digest
    with pytest.raises(InputError, match="thinking_tokens must be at least 0"):
        open_engine(EngineOptions(base_url="http://h/v1", thinking_tokens=-1))


def test_flags_and_recipes_say_what_is_left_out(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[engine]\nomit = ["temperature", "top_p"]\nthinking_tokens = 9\nserved_as = "mine"\n')
    found = parse(score.Config, ["--config", str(recipe)], "prog").engine
    assert (found.omit, found.thinking_tokens, found.served_as) == (("temperature", "top_p"), 9, "mine")
    found = parse(score.Config, ["--omit", "seed", "--omit", "stop", "answers.jsonl"], "prog").engine
    assert found.omit == ("seed", "stop")


def test_what_is_said_of_one_model_is_not_said_of_another() -> None:
    evaluated = EngineOptions("m", base_url="http://h/v1", omit=("seed",), thinking_tokens=5, served_as="mine")
    assert JudgeFlags().engine_options(evaluated) == evaluated
    judge = JudgeFlags(judge_model="big", judge_omit=("top_p",)).engine_options(evaluated)
    assert (judge.omit, judge.thinking_tokens, judge.served_as) == (("top_p",), 0, None)
    member, _ = member_named("big@http://other/v1", evaluated, JudgeOptions())
    assert member.served_as is None


def test_every_command_that_asks_an_engine_can_start_again() -> None:
    root = Path(sys.modules["engines"].__path__[0]).parent
    files = [path for room in ("judges", "trainer", "evals") for path in (root / room).rglob("*.py")]
    texts = {path: path.read_text() for path in files}
    commands = [path for path, text in texts.items() if "def main(" in text]
    asks = ("open_engine", "open_judge", "SharedEngineOptions")
    asking = [path for path in commands if any(word in text for text in _parts(path, texts) for word in asks)]
    assert len(asking) >= 12
    assert [path for path in asking if "@starts_again\ndef main(" not in texts[path]] == []


def _parts(command: Path, texts: dict[Path, str]) -> list[str]:
    """Return the text of a command that is a file, or of all files of one that is a folder."""
    if command.name != "__main__.py":
        return [texts[command]]
    return [text for path, text in texts.items() if path.is_relative_to(command.parent)]
