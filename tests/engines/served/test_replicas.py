import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from console.address import masked, secrets_of, shown, without_secrets
from console.command import parse, together
from console.errors import EngineError, InputError
from engines.options import EngineOptions
from engines.protocol import Completion, Request, Sampling
from engines.served import replicas
from engines.served.http_call import CallFailed, Failure
from engines.served.openai_engine import OpenAIEngine, open_openai
from engines.served.replicas import Replica, Replicas
from judges.score.__main__ import main
from judges.score.options import Config
from records import Judgment
from records.store import read_rows
from tests.openai_server import Server, completion, running

ASK = [Request([{"role": "user", "content": f"question {number}"}], seed=number) for number in range(60)]
BUSY = (503, {"error": {"message": "shutting down"}})


@pytest.fixture
def two(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Server, Server]]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("engines.served.lookup.FIRST_WAIT_S", 0.0)
    with running() as other:
        for one in (server, other):
            one.answer = slowly(lambda body: completion(f"answer to {body['seed']}"))
            one.get = lambda _: (200, {"data": [{"id": "m", "root": "org/m"}]})
        yield server, other


def slowly(answer: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    def answered(body: dict[str, Any]) -> Any:
        time.sleep(0.002)
        return answer(body)

    return answered


def engine_of(*servers: Server | str, concurrency: int = 8) -> OpenAIEngine:
    urls = [one if isinstance(one, str) else one.url for one in servers]
    return open_openai("m", " ".join(urls), "NO_KEY", concurrency)


def all_answered(found: list[Completion]) -> bool:
    return sorted((one.index, one.text) for one in found) == [(n, f"answer to {n}") for n in range(len(ASK))]


def test_replicas_share_the_calls(two: tuple[Server, Server]) -> None:
    found = list(engine_of(*two).generate(ASK, Sampling()))
    assert all_answered(found) and sum(one.n_calls for one in found) == 60
    assert sorted(body["seed"] for one in two for body in one.asked) == list(range(60))
    assert min(len(one.asked) for one in two) >= 15


@pytest.mark.parametrize("way", ["busy", "cut", "gone model", "other key"])
def test_one_that_is_lost_under_load_loses_no_work(
    two: tuple[Server, Server], way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = {
        "busy": BUSY,
        "cut": b"HTTP/1.0 200 OK\r\nContent-Length: 500\r\n\r\n{",
        "gone model": (404, {"error": {"message": "the model m does not exist"}}),
        "other key": (401, {"error": {"message": "who are you"}}),
    }[way]
    two[1].answer = lambda body: completion(f"answer to {body['seed']}") if len(two[1].asked) < 10 else lost
    found = list(engine_of(*two).generate(ASK, Sampling()))
    assert all_answered(found) and not any(one.error for one in found)
    assert sum(one.n_calls for one in found) == sum(len(one.asked) for one in two)
    assert sum(one.n_failed for one in found) == len(two[1].asked) - 9 <= 8 + 3
    assert f"{two[1].url} is left out" in capsys.readouterr().err


def test_one_that_cannot_be_reached_is_told_and_left_out(
    two: tuple[Server, Server], capsys: pytest.CaptureFixture[str]
) -> None:
    gone = "http://127.0.0.1:9/v1"
    started = time.monotonic()
    found = list(engine_of(gone, two[0]).generate(ASK, Sampling()))
    assert all_answered(found) and len(two[0].asked) == 60 and time.monotonic() - started < 10
    said = capsys.readouterr().err
    assert f"{gone}: cannot be reached: the others begin without it" in said
    assert said.count(f"{gone} is left out for 30 s, and the others go on") == 1


def test_one_that_comes_back_is_asked_again(two: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicas, "REST_S", 0.005)
    two[1].answer = lambda body: BUSY if len(two[1].asked) <= 4 else completion(f"answer to {body['seed']}")
    found = list(engine_of(*two, concurrency=2).generate(ASK, Sampling()))
    assert all_answered(found) and len(two[1].asked) > 4 + 5


def test_replicas_that_are_all_lost_end_the_command_and_it_can_go_on(two: tuple[Server, Server]) -> None:
    for one in two:
        one.answer = slowly(
            lambda body: completion(f"answer to {body['seed']}") if sum(len(s.asked) for s in two) < 20 else BUSY
        )
    engine = open_openai("m", f"{two[0].url} {two[1].url}", "NO_KEY", 4, max_failures_in_row=5)
    found = []
    with pytest.raises(EngineError, match=f"{two[0].url}, {two[1].url}: 5 calls in a row failed"):
        for one in engine.generate(ASK, Sampling()):
            found.append(one)
    done = {one.index for one in found if one.error is None}
    assert len(done) >= 15
    for server in two:
        server.answer = lambda body: completion(f"answer to {body['seed']}")
    again = open_openai("m", f"{two[0].url} {two[1].url}", "NO_KEY", 4)
    rest = list(again.generate(ASK, Sampling(), done=done))
    assert {one.index for one in rest} == set(range(60)) - done and not any(one.error for one in rest)


def test_a_refused_prompt_is_no_lost_replica(two: tuple[Server, Server]) -> None:
    for one in two:
        one.answer = lambda body: (400, {"error": {"message": "too long"}}) if body["seed"] == 7 else completion("ok")
    found = {one.index: one for one in engine_of(*two).generate(ASK, Sampling())}
    assert found[7].error == "call failed: 400: too long" and found[7].n_calls == 1
    assert sum(one.text == "ok" for one in found.values()) == 59


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ([{"id": "n"}], "serves n, not m; leave it out"),
        ([{"id": "n"}, {"id": "o"}], "serves n, o, not m"),
        ([], "serves nothing, not m"),
        ([{"id": "m", "root": "org/m-base"}], "two models under the name m: they differ in root"),
    ],
)
def test_one_with_another_model_is_found_and_refused_before_any_call(
    two: tuple[Server, Server], listed: list[dict[str, str]], said: str
) -> None:
    two[1].get = lambda _: (200, {"data": listed})
    with pytest.raises(InputError, match=said) as caught:
        list(engine_of(*two).generate(ASK, Sampling()))
    assert two[1].url in str(caught.value) and not two[0].asked and not two[1].asked
    vouched = open_openai("m", f"{two[0].url} {two[1].url}", "NO_KEY", 8, served_as="mine")
    assert all_answered(list(vouched.generate(ASK, Sampling())))


def test_one_that_does_not_say_what_it_serves_is_asked_and_named(
    two: tuple[Server, Server], capsys: pytest.CaptureFixture[str]
) -> None:
    two[1].get = lambda _: (404, {})
    assert all_answered(list(engine_of(*two).generate(ASK, Sampling()))) and len(two[1].asked) >= 15
    assert f"{two[1].url}: does not say what it serves (/models: 404)" in capsys.readouterr().err


class Refusing:
    async def post(self, *_: Any) -> Any:
        raise CallFailed(Failure(400, "400: the prompt is too long", may_pass=False), 1, 0, 0)


def test_one_that_refuses_a_call_after_its_rest_is_there_again() -> None:
    back, busy = Replica("back", n_in_row=3, rests_until_s=time.monotonic() - 1), Replica("busy", under_way=1)
    connections: Any = [Refusing(), Refusing()]
    with pytest.raises(CallFailed):
        asyncio.run(Replicas(connections, [back, busy], str).post(b"", bytes))
    assert back.is_up and (back.n_in_row, back.under_way) == (0, 0)


@pytest.mark.parametrize("order", [1, -1])
def test_the_only_one_that_is_there_and_says_nothing_makes_the_model_known_by_name(
    two: tuple[Server, Server], order: int, capsys: pytest.CaptureFixture[str]
) -> None:
    two[1].get = lambda _: (404, {})
    engine = engine_of(*("http://127.0.0.1:9/v1", two[1])[::order])
    assert engine.digest == engine.digest_by_name
    assert "so it is known by this name alone" in capsys.readouterr().err.replace("\n", " ")


def test_which_replica_is_there_is_no_part_of_the_judge(two: tuple[Server, Server]) -> None:
    digests = {engine_of(*servers).digest for servers in (two, two[:1], two[::-1], ("http://127.0.0.1:9/v1", two[1]))}
    assert len(digests) == 1


def test_the_flag_is_given_once_for_each_server(two: tuple[Server, Server], tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    rows = [{"id": f"r{n}", "prompt": f"question {n}", "response": f"answer {n}"} for n in range(40)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for one in two:
        one.answer = slowly(lambda _: completion("Score: 4"))
    urls = [word for one in two for word in ("--base-url", one.url)]
    flags = [str(path), "--model", "m", *urls, "--read", "text", "--samples", "1", "--out", str(tmp_path / "o.jsonl")]
    main(parse(Config, flags, "judges.score"))
    scores = Counter(row.score for row in read_rows(tmp_path / "o.jsonl", Judgment))
    assert scores == {4.0: 40} and min(len(one.asked) for one in two) >= 10


def test_addresses_of_a_repeated_flag_come_together() -> None:
    words = ["f", "--base-url", "http://a", "--seed", "1", "--base-url=http://b", "--judge.base-url", "http://c"]
    assert together(words) == ["f", "--base-url", "http://a http://b", "--seed", "1", "--judge.base-url", "http://c"]
    assert together(["--base-url"]) == ["--base-url"] and together(["--base-url="]) == ["--base-url="]


def test_the_secrets_of_every_address_are_hidden() -> None:
    several = "http://ann:first-key@a/v1 http://b/v1?key=second-key"
    assert shown(several) == "http://***@a/v1 http://b/v1?key=***"
    assert "-key" not in str(without_secrets(EngineOptions("m", base_url=several)))
    engine = open_openai("m", several, "NO_KEY", 1)
    assert "-key" not in repr(engine)
    hidden = engine.calls.hide("first-key and second-key")  # type: ignore[attr-defined]
    assert hidden == "*** and ***" and masked("first-key", secrets_of(several.split()[0])) == "***"


def test_an_address_that_is_none_among_several_is_named() -> None:
    with pytest.raises(InputError, match="'localhost:8000' is no address of a server"):
        open_openai("m", "http://a/v1 localhost:8000", "NO_KEY", 1)


def likely(body: dict[str, Any]) -> Any:
    top = [{"token": "4", "logprob": -0.1}, {"token": "3", "logprob": -3.0}]
    return completion("4", logprobs=[{"token": "4", "logprob": -0.1, "top_logprobs": top}])


REFUSES = (400, {"error": {"message": "logprobs is not supported", "param": "logprobs"}})


@pytest.mark.parametrize("reply", [completion("4"), REFUSES], ids=["gives none", "refuses"])
def test_one_without_log_probabilities_is_left_out_by_name_and_loses_no_work(
    two: tuple[Server, Server], reply: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    two[0].answer = slowly(lambda _: reply)
    two[1].answer = slowly(likely)
    found = list(engine_of(*two).choose(ASK, ["3", "4"]))
    assert len(found) == 60 and not any(one.error for one in found)
    assert all(one.logprobs == pytest.approx((-3.0, -0.1)) for one in found)
    assert sum(one.n_calls for one in found) == sum(len(one.asked) for one in two)
    assert sum(one.n_failed for one in found) == len(two[0].asked) <= 8
    said = capsys.readouterr().err
    assert said.count(f"{two[0].url} is left out, and the others go on: it gives no log-probabilities") == 1


@pytest.mark.parametrize("reply", [completion("4"), REFUSES], ids=["gives none", "refuses"])
def test_replicas_that_all_give_no_log_probabilities_end_the_command_and_none_is_left_out(
    two: tuple[Server, Server], reply: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for one in two:
        one.answer = slowly(lambda _: reply)
    with pytest.raises(EngineError, match="m: the server gives no log-probabilities"):
        list(engine_of(*two).choose(ASK, ["3", "4"]))
    assert "left out" not in capsys.readouterr().err


def test_a_reply_without_log_probabilities_of_one_that_gave_them_is_that_calls_own(two: tuple[Server, Server]) -> None:
    for one in two:
        one.answer = slowly(lambda body: completion("4") if body["seed"] == 50 else likely(body))
    found = {one.index: one for one in engine_of(*two, concurrency=2).choose(ASK, ["3", "4"])}
    assert [index for index, one in found.items() if one.error] == [50] and sum(len(one.asked) for one in two) == 60
