"""What a server may not do to a call: keep it for ever, fill the memory, send it elsewhere, have its secrets told."""

import time
from typing import Any

import pytest

from console.address import shown
from console.errors import EngineError, InputError
from engines.options import EngineOptions, open_engine
from engines.protocol import Completion, Request, Sampling
from engines.served import http_call
from engines.served.http_call import Limits
from engines.served.openai_engine import open_openai
from tests.openai_server import Raw, Server, completion, cut, hang, moved, raw, running, trickle

ASK = [Request([{"role": "user", "content": f"question {number}"}], seed=number) for number in range(3)]
KEY = "sk-verysecret"
MOVED = (301, 302, 303)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def ask(url: str, limits: Limits | None = None, n: int = 1) -> list[Completion]:
    found = open_openai("m", url, "SOME_KEY", 4, limits).generate(ASK[:n], Sampling())
    return sorted(found, key=lambda one: one.index)


@pytest.mark.parametrize(
    "slow",
    [hang(), trickle(completion("ok"), 0.02), trickle((500, {"error": "x" * 500}), 0.02), cut(completion("ok"), 0)],
    ids=["hangs", "trickles", "trickles an error", "promises a body"],
)
def test_a_call_takes_no_longer_than_it_may_retries_included(server: Server, slow: Raw) -> None:
    if slow.told_length:
        slow = Raw(slow.body + b" ", told_length=10_000, piece=1, piece_wait_s=60)
    server.answer = lambda body: slow if body["seed"] == 1 else completion("ok")
    started = time.monotonic()
    found = ask(server.url, Limits(timeout_s=0.2, retry_s=0.5), n=3)
    assert time.monotonic() - started < 2
    assert [one.text for one in found] == ["ok", "", "ok"]
    assert found[1].error is not None and found[1].error.startswith("call failed: no whole reply within 0.")
    assert found[1].n_calls == found[1].n_failed and 2 <= found[1].n_calls <= 3


def test_a_slow_reply_within_the_time_is_read(server: Server) -> None:
    server.answer = lambda _: trickle(completion("ok"), 0.002, piece=20)
    assert ask(server.url, Limits(timeout_s=20))[0].text == "ok"


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_a_time_out_of_range_is_refused_before_any_call(seconds: float) -> None:
    with pytest.raises(InputError, match="timeout_s must be above 0"):
        open_engine(EngineOptions("m", base_url="http://127.0.0.1:9/v1", timeout_s=seconds))
    with pytest.raises(InputError, match="retry_s must be above 0"):
        open_engine(EngineOptions("m", base_url="http://127.0.0.1:9/v1", retry_s=seconds))


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("status", [200, 500])
def test_a_reply_that_is_too_long_is_not_read_to_its_end(
    server: Server, monkeypatch: pytest.MonkeyPatch, status: int, chunked: bool
) -> None:
    monkeypatch.setattr(http_call, "MOST_BYTES", 2**20)
    server.answer = lambda body: Raw(b" " * 2**22, status, chunked=chunked) if body["seed"] == 1 else completion("ok")
    found = ask(server.url, n=3)
    assert [one.text for one in found] == ["ok", "", "ok"]
    assert found[1].error == "call failed: the reply is longer than 1 MiB" and found[1].n_calls == 1


@pytest.mark.parametrize("status", MOVED)
def test_a_redirect_that_would_make_a_get_of_a_call_names_the_new_address(server: Server, status: int) -> None:
    server.answer = lambda _: moved(status, f"https://ann:{KEY}@new.example/v2/chat/completions?key={KEY}")
    with pytest.raises(EngineError, match=rf"{status}: the server sends calls on to another address") as caught:
        ask(server.url, n=3)
    assert "https://***@new.example/v2" in str(caught.value) and KEY not in str(caught.value)
    assert not server.gets and len(server.asked) <= 4


def test_a_redirect_of_one_call_among_others_is_that_calls_error(server: Server) -> None:
    server.answer = lambda body: moved(302, "/login") if body["seed"] == 1 else completion("ok")
    found = ask(server.url, n=3)
    assert [one.text for one in found] == ["ok", "", "ok"] and not server.gets
    assert found[1].error is not None and f"{server.url.removesuffix('/v1')}/login" in found[1].error


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_that_keeps_the_call_is_followed_and_another_server_has_not_the_key(
    server: Server, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_KEY", KEY)
    with running() as other:
        other.answer = lambda _: completion("there")
        server.answer = lambda _: moved(status, f"{other.url}/chat/completions")
        assert ask(server.url)[0].text == "there"
        assert other.asked == server.asked and "Authorization" not in other.headers[0]
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("status", [302, 307])
@pytest.mark.parametrize("address", ["http://[bad", "ftp://host/x"])
def test_a_redirect_to_what_is_no_address_is_one_calls_error(server: Server, status: int, address: str) -> None:
    server.answer = lambda body: moved(status, address) if body["seed"] == 1 else completion("ok")
    found = ask(server.url, n=3)
    assert [one.text for one in found] == ["ok", "", "ok"] and found[1].error


LED_NOWHERE = {
    "http://[bad": "is no address of a server",
    "http://host:port/v1": "is no address of a server",
    "ftp://host/x": "is no address of a server",
    "http://127.0.0.1:9/v1": "gives no reply",
    f"http://ann:{KEY}@127.0.0.1:9/v1?key={KEY}": "gives no reply",
}


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize("address", LED_NOWHERE)
def test_a_first_reply_that_leads_nowhere_is_no_server_that_is_not_there(
    server: Server, address: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engines.served.sdk.MAX_RETRIES", 1)
    server.answer = lambda body: moved(status, address) if body["seed"] == 0 else completion("ok")
    found = sorted(open_openai("m", server.url, "NO_KEY", 1).generate(ASK, Sampling()), key=lambda one: one.index)
    assert [one.text for one in found] == ["", "ok", "ok"]
    said = str(found[0].error)
    assert said.startswith(f"call failed: {status}: the server sends the call on to {shown(address)}, which ")
    assert LED_NOWHERE[address] in said and KEY not in said


@pytest.mark.parametrize("address", ["http://[bad", "http://127.0.0.1:9/v1"])
@pytest.mark.parametrize("n", [1, 3])
def test_a_server_that_sends_every_call_nowhere_is_named_with_where(
    server: Server, address: str, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engines.served.sdk.MAX_RETRIES", 1)
    server.answer = lambda _: moved(307, address)
    with pytest.raises(EngineError) as caught:
        ask(server.url, n=n)
    assert str(caught.value).startswith(f"{server.url}: 307: the server sends the call on to {address}, which ")
    assert "no server answers" not in str(caught.value)


def test_a_circle_of_redirects_ends(server: Server) -> None:
    server.answer = lambda _: moved(307, "/v1/chat/completions")
    with pytest.raises(EngineError, match="307: the server sends calls on to another address"):
        ask(server.url)
    assert len(server.asked) == http_call.MOST_HOPS + 1


@pytest.mark.parametrize(
    "answer",
    [
        (400, {"error": {"message": f"no such key: {KEY}"}}),
        (401, {"error": {"message": f"Incorrect API key provided: {KEY}"}}),
        (200, {"error": {"message": f"{KEY} is not known"}}),
        (200, {"choices": [], "request": f"?key={KEY}"}),
        raw(f"<html>{KEY}", 502),
        raw(f"{{{KEY}"),
        moved(302, f"/login?next={KEY}"),
        *((400, {"error": {"message": f"{'x' * n} {KEY}"}}) for n in range(185, 245, 3)),
        *(raw(f"{'x' * n} {KEY}") for n in range(65, 81, 3)),
        *((200, {"choices": [], "request": "x" * n + KEY}) for n in range(45, 81, 3)),
        *((200, {"choices": [{"index": "x" * n + KEY}]}) for n in range(50, 81, 3)),
        (400, {"errors": [f'the key is "{KEY}", <{KEY}>']}),
    ],
    ids=lambda answer: str(answer)[:40],
)
@pytest.mark.parametrize("url", ["http://ann:{key}@{host}/v1", "http://{host}/v1?key={key}", "http://{host}/v1"])
def test_no_error_tells_a_secret(server: Server, answer: Any, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", KEY)
    monkeypatch.setattr("engines.served.sdk.MAX_RETRIES", 0)
    server.answer = lambda _: answer
    address = url.format(key=KEY, host=f"127.0.0.1:{server.server_port}")
    try:
        said = str(ask(address)[0].error)
    except EngineError as error:
        said = str(error)
    assert len(said) > 10 and KEY[:8] not in said and len(said) < 500
    assert server.paths == ["/v1/chat/completions" + (f"?key={KEY}" if "?" in url else "")]


@pytest.mark.parametrize("url", [f"http://ann:{KEY}@127.0.0.1:9/v1", f"http://127.0.0.1:9/v1?key={KEY}"])
def test_a_server_that_cannot_be_reached_is_named_without_its_secrets(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engines.served.sdk.MAX_RETRIES", 0)
    with pytest.raises(EngineError, match="no server answers there; is --base-url right") as caught:
        ask(url)
    assert KEY not in str(caught.value) and "***" in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        f"http://ann:{KEY}@127.0.0.1:99999/v1",
        f"http://ann:{KEY}@/v1",
        f"ann:{KEY}@127.0.0.1:9/v1",
        f"ftp://ann:{KEY}@127.0.0.1:9/v1",
        f"http://ann:{KEY}@127.0.0.1:port/v1",
    ],
)
def test_what_is_no_address_of_a_server_is_named_without_its_secrets(url: str) -> None:
    with pytest.raises(InputError, match="is no address of a server") as caught:
        ask(url)
    assert KEY not in str(caught.value) and "***" in str(caught.value)


def test_a_new_key_is_no_new_judge_and_no_engine_shows_it() -> None:
    engines = [open_openai("m", f"http://ann:{key}@host/v1?key={key}", "NO_KEY", 1) for key in (KEY, "another-key")]
    assert engines[0].digest == engines[1].digest and KEY not in repr(engines)
