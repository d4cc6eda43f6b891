import shutil
import ssl
import subprocess
import sys
import time
from email.utils import formatdate
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from openai._constants import MAX_RETRY_AFTER_DELAY

from console.errors import EngineError, InputError
from engines.protocol import Completion, Request, Sampling
from engines.served.http_call import LONGEST_TOLD_WAIT_S, Limits, error_text
from engines.served.openai_engine import OpenAIEngine, open_openai
from engines.served.sdk import MAX_RETRIES
from tests.conftest import ROOT
from tests.openai_server import Server, completion, hang

ASK = [Request([{"role": "user", "content": f"question {number}"}], seed=number) for number in range(2)]
BUSY = {"error": {"message": "busy"}}
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", *PROXIES, *map(str.upper, PROXIES)):
        monkeypatch.delenv(name, raising=False)


def engine_of(url: str | None, limits: Limits | None = None) -> OpenAIEngine:
    return open_openai("m", url, "NO_KEY", 2, limits)


def asked(url: str | None) -> Completion:
    [found] = engine_of(url).generate(ASK[:1], Sampling())
    return found


def asked_after(server: Server, *first: Any) -> Completion:
    """Return what comes of a call where the server says `first` before it answers."""
    answers = iter(first)
    server.answer = lambda _: next(answers, None) or completion("ok")
    return asked(server.url)


def in_s(seconds: float) -> str:
    return formatdate(time.time() + seconds, usegmt=True)


@pytest.mark.parametrize(
    ("headers", "n_calls", "at_least_s"),
    [
        ({"Retry-After": "0.3"}, 2, 0.3),
        ({"Retry-After": "0"}, 2, 0),
        ({"Retry-After": "600"}, 1, 0),
        ({"Retry-After": "nan"}, 2, 0),
        ({"Retry-After": "Friday"}, 2, 0),
        ({"retry-after-ms": "300", "Retry-After": "600"}, 2, 0.3),
        ({"retry-after-ms": "soon", "Retry-After": "0.3"}, 2, 0.3),
        ({"retry-after-ms": "600000"}, 1, 0),
    ],
)
def test_a_server_that_says_how_long_to_wait_is_waited_for_but_not_for_ever(
    server: Server, headers: dict[str, str], n_calls: int, at_least_s: float
) -> None:
    found = asked_after(server, (429, BUSY, headers))
    assert len(server.asked) == found.n_calls == n_calls and at_least_s <= found.seconds < 3
    assert (found.error is None) == (n_calls == 2)


def test_a_wait_may_be_a_date(server: Server) -> None:
    assert 0.9 <= asked_after(server, (503, BUSY, {"Retry-After": in_s(2)})).seconds < 5  # dates have whole seconds
    assert asked_after(server, (503, BUSY, {"Retry-After": in_s(-60)})).seconds < 1
    late = asked_after(server, (503, BUSY, {"Retry-After": in_s(3600)}))
    assert late.error == "call failed: 503: busy" and late.n_calls == 1


@pytest.mark.parametrize(("status", "may", "n_calls"), [(500, "false", 1), (400, "true", 2), (500, "perhaps", 2)])
def test_a_server_may_say_whether_to_try_again(server: Server, status: int, may: str, n_calls: int) -> None:
    found = asked_after(server, (status, BUSY, {"x-should-retry": may}))
    assert found.n_calls == len(server.asked) == n_calls and (found.error is None) == (n_calls == 2)


@pytest.mark.parametrize(("status", "n_calls"), [(400, 1), (408, 2), (409, 2), (422, 1), (429, 2), (502, 2)])
def test_only_what_may_pass_is_tried_again(server: Server, status: int, n_calls: int) -> None:
    assert asked_after(server, (status, BUSY)).n_calls == len(server.asked) == n_calls


def test_each_wait_is_twice_as_long_as_the_one_before(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.04)
    monkeypatch.setattr("openai._base_client.MAX_RETRY_DELAY", 0.12)
    came: list[float] = []

    def answer(_: dict[str, Any]) -> Any:
        came.append(time.monotonic())
        return 500, BUSY

    server.answer = answer
    assert asked(server.url).n_calls == MAX_RETRIES + 1 == len(came)
    waits = [after - before for before, after in pairwise(came)]
    for wait, longest in zip(waits, (0.04, 0.08, 0.12, 0.12), strict=True):
        assert 0.75 * longest <= wait < longest + 0.1  # a call itself takes a little


def test_the_longest_wait_that_is_told_is_the_sdks() -> None:
    assert LONGEST_TOLD_WAIT_S == MAX_RETRY_AFTER_DELAY


@pytest.mark.parametrize(
    "body", [b"<html>Bad gateway</html>", b'{"choices": [', b'{"choices": [{"message": {"content": "\xff"}}]}', b""]
)
def test_a_reply_that_is_no_json_is_asked_for_again_and_then_that_rows_error(server: Server, body: bytes) -> None:
    sent = b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    found = asked_after(server, sent)
    assert found.text == "ok" and (found.n_calls, found.n_failed, len(server.asked)) == (2, 1, 2)
    server.asked.clear()
    found = asked_after(server, *[sent] * 5)
    assert found.text == "" and (found.n_calls, found.n_failed, len(server.asked)) == (5, 5, 5)
    assert found.error is not None and found.error.startswith("call failed: the ")


def test_an_error_page_that_is_no_json_is_said_on_one_line(server: Server) -> None:
    page = b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/html\r\n\r\n<html>\n\xff too\n long</html>"
    assert asked_after(server, page).error == "call failed: 400: <html> \ufffd too long</html>"


TORN = b'HTTP/1.0 200 OK\r\nContent-Length: 500\r\n\r\n{"choices": [{"mess'


def test_a_reply_that_breaks_off_is_asked_for_again(server: Server) -> None:
    found = asked_after(server, TORN, TORN)
    assert found.text == "ok" and (found.n_calls, found.n_failed, len(server.asked)) == (3, 2, 3)


def test_a_reply_that_always_breaks_off_is_that_rows_error(server: Server) -> None:
    server.answer = lambda body: TORN if body["seed"] == 1 else completion("ok")
    engine = engine_of(server.url)
    assert [found.text for found in engine.generate(ASK[:1], Sampling())] == ["ok"]
    [found] = engine.generate(ASK, Sampling(), done={0})
    assert found.text == "" and found.n_calls == found.n_failed == 5
    assert found.error is not None and found.error.startswith("call failed: ClientPayloadError")


def test_a_server_that_sends_nothing_for_too_long_is_left(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engines.served.sdk.MAX_RETRIES", 1)
    server.answer = lambda _: hang()
    [found] = engine_of(server.url, Limits(0.1)).generate(ASK[:1], Sampling())
    assert found.error == "call failed: no whole reply within 0.1 s (--timeout-s)" and found.n_calls == 2


def test_a_call_follows_where_the_server_has_moved_to(server: Server) -> None:
    found = asked_after(server, (307, {}, {"Location": "/v2/chat/completions"}))
    assert found.text == "ok" and server.paths == ["/v1/chat/completions", "/v2/chat/completions"]
    assert server.asked[0] == server.asked[1]


def test_https_to_a_server_without_it_names_the_cause(server: Server) -> None:
    with pytest.raises(
        EngineError, match=r"https://127.*: no server answers there; .*SSLError: .*WRONG_VERSION_NUMBER"
    ):
        asked(server.url.replace("http:", "https:"))


@pytest.fixture
def https(server: Server, tmp_path: Path) -> tuple[str, Path]:
    """A URL with TLS, and the certificate that the server signed itself."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    flags = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", "req", "-x509", *flags, *names, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return server.url.replace("http:", "https:"), certificate


def test_a_certificate_that_is_not_trusted_is_named_at_once(
    https: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 60)
    monkeypatch.setattr("openai._base_client.MAX_RETRY_DELAY", 60)
    with pytest.raises(EngineError, match=r"certificate verify failed: self.signed certificate"):
        asked(https[0])


def test_ssl_cert_file_says_which_certificates_are_trusted(
    https: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(https[1]))
    assert asked(https[0]).text == "ok"


def test_a_url_that_is_none_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 60)
    with pytest.raises(InputError, match="'localhost:8000' is no address of a server"):
        asked("localhost:8000")


def test_the_environment_names_the_server_the_organization_and_the_project(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("BASE_URL", f"{server.url}/"), ("ORG_ID", "org-1"), ("PROJECT_ID", "proj-2")):
        monkeypatch.setenv(f"OPENAI_{name}", value)
    engine = engine_of(None)
    assert engine.parameters.limit == "max_tokens"
    assert [found.text for found in engine.generate(ASK[:1], Sampling())] == ["ok"]
    assert (server.headers[0]["OpenAI-Organization"], server.headers[0]["OpenAI-Project"]) == ("org-1", "proj-2")
    assert server.asked[0]["max_tokens"] == 256


def test_a_server_that_is_named_wins_over_the_environments(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    assert asked(server.url).text == "ok"
    sent = {name.lower() for name in server.headers[0]}
    assert not sent & {"openai-organization", "openai-project"} and {"authorization", "content-type"} <= sent


def test_openais_own_server_is_known_by_its_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_KEY", "sk\n")
    found = [engine_of(None), engine_of("https://api.openai.com/v1/")]
    assert {engine.parameters.limit for engine in found} == {"max_completion_tokens"}
    assert found[0].digest == found[1].digest  # and nothing is asked for it
    assert "sk" not in repr(found)


def test_a_user_and_a_password_in_the_url_are_sent_in_place_of_the_key(server: Server) -> None:
    assert asked(server.url.replace("//", "//ann:secret@")).text == "ok"
    assert server.headers[0]["Authorization"] == "Basic YW5uOnNlY3JldA=="


@pytest.mark.parametrize(
    ("variable", "scheme"), [("http_proxy", "http://"), ("ALL_PROXY", "http://"), ("HTTP_PROXY", "")]
)
def test_the_environments_proxy_is_asked(
    server: Server, monkeypatch: pytest.MonkeyPatch, variable: str, scheme: str
) -> None:
    monkeypatch.setenv(variable, f"{scheme}ann:secret@127.0.0.1:{server.server_port}")
    assert asked("http://judge.invalid:8000/v1").text == "ok"
    assert server.paths == ["http://judge.invalid:8000/v1/chat/completions"]
    assert server.headers[0]["Proxy-Authorization"] == "Basic YW5uOnNlY3JldA=="
    assert server.headers[0]["Authorization"] == "Bearer none"


@pytest.mark.parametrize("no_proxy", ["127.0.0.1", "*", "127.0.0.1:{port}"])
def test_a_server_that_no_proxy_names_is_asked_itself(
    server: Server, monkeypatch: pytest.MonkeyPatch, no_proxy: str
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", no_proxy.format(port=server.server_port))
    assert asked(server.url).text == "ok" and server.paths == ["/v1/chat/completions"]


def test_a_proxy_that_cannot_be_used_is_one_clear_line(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with pytest.raises(EngineError, match="ProxyConnectionError"):
        asked(server.url)
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:9")
    with pytest.raises(EngineError, match="is no http proxy; unset it, or set NO_PROXY"):
        asked(server.url)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ({"error": {"message": "too  long\n", "code": 3}}, "too long"),
        ({"error": "no model"}, "no model"),
        ({"message": "", "error": {"message": None, "error": "deep"}}, "deep"),
        ({"message": ""}, "None"),
        ({"detail": "x"}, "{'detail': 'x'}"),
        ("y" * 300, "y" * 200),
    ],
)
def test_what_an_error_says_is_found_at_any_depth(found: object, text: str) -> None:
    assert error_text(found) == text


@pytest.mark.parametrize("flags", [["-c", "import judges"], ["-m", "judges.score", "--help"]], ids=["import", "help"])
def test_the_client_is_loaded_only_where_a_server_is_asked(flags: list[str]) -> None:
    found = subprocess.run(
        [sys.executable, "-X", "importtime", *flags], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = {line.rsplit("|", 1)[1].strip().split(".")[0] for line in found.stderr.splitlines() if "|" in line}
    assert "judges" in loaded and not loaded & {"aiohttp", "openai", "httpx2"}
