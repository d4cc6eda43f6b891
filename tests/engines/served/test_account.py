import subprocess
import sys
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest

from console.errors import EngineError, InputError
from engines.protocol import Request, Sampling
from engines.served.account import OFFICIAL, Account
from engines.served.http_call import CallFailed, Limits
from engines.served.in_flight import results
from engines.served.openai_engine import OpenAIEngine, open_openai
from engines.served.replies.chat_reply import decode
from engines.served.sdk import connected
from tests.conftest import ROOT
from tests.openai_server import Server, completion

ASK = [Request([{"role": "user", "content": "question"}], seed=1)]
VARIABLES = ("BASE_URL", "API_KEY", "ORG_ID", "PROJECT_ID", "API_VERSION", "CUSTOM_HEADERS")
AZURE = ("ENDPOINT", "API_KEY", "AD_TOKEN")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*(f"OPENAI_{name}" for name in VARIABLES), *(f"AZURE_OPENAI_{name}" for name in AZURE)):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def said(engine: OpenAIEngine) -> str:
    [found] = engine.generate(ASK, Sampling())
    assert found.error is None
    return found.text


def azure(monkeypatch: pytest.MonkeyPatch, server: Server, **more: str) -> str:
    endpoint = f"http://127.0.0.1:{server.server_port}"
    settings = {"AZURE_OPENAI_ENDPOINT": endpoint, "OPENAI_API_VERSION": "2024-10-21", **more}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return endpoint


def test_azures_variables_name_its_server_its_key_and_its_version(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    azure(monkeypatch, server, AZURE_OPENAI_API_KEY="azure-key")
    assert said(open_openai("gpt 5", None, "OPENAI_API_KEY", 1)) == "ok"
    assert server.paths == ["/openai/deployments/gpt%205/chat/completions?api-version=2024-10-21"]
    assert server.headers[0]["api-key"] == "azure-key" and "Authorization" not in server.headers[0]
    assert not server.gets  # its list of models does not say what a deployment is


def test_azures_token_wins_over_its_key(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    azure(monkeypatch, server, AZURE_OPENAI_API_KEY="azure-key", AZURE_OPENAI_AD_TOKEN="token-of-entra")
    assert said(open_openai("gpt", None, "OPENAI_API_KEY", 1)) == "ok"
    assert server.headers[0]["Authorization"] == "Bearer token-of-entra" and "api-key" not in server.headers[0]


def test_openais_key_never_goes_to_azure_that_has_its_own(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = azure(monkeypatch, server, AZURE_OPENAI_API_KEY="azure-key", OPENAI_API_KEY="sk-openai")
    assert Account.of("gpt", None, "OPENAI_API_KEY").is_official  # as without Azure's variables
    assert said(open_openai("gpt", endpoint, "OPENAI_API_KEY", 1)) == "ok"
    assert "sk-openai" not in str(server.headers[0].items()) and server.headers[0]["api-key"] == "azure-key"


@pytest.mark.parametrize(
    ("url", "endpoint", "deployment"),
    [
        ("https://x.openai.azure.com", "https://x.openai.azure.com", "gpt"),
        ("https://x.openai.azure.com/openai/deployments/judge?api-version=2", "https://x.openai.azure.com", "judge"),
        ("https://x.cognitiveservices.azure.com/openai", "https://x.cognitiveservices.azure.com", "gpt"),
        ("https://x.openai.azure.com/openai/v1", "https://x.openai.azure.com/openai/v1", None),
        ("https://openai.azure.com.example/v1", "https://openai.azure.com.example/v1", None),
    ],
)
def test_azures_addresses_are_known(
    url: str, endpoint: str, deployment: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_VERSION", "1")
    account = Account.of("gpt", url, "OPENAI_API_KEY")
    assert (account.server, account.deployment) == (endpoint, deployment)
    assert account.version == ("" if deployment is None else "2" if "=2" in url else "1")


def test_what_azure_lacks_is_named_before_any_call(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    azure(monkeypatch, server)
    with pytest.raises(InputError, match="set AZURE_OPENAI_API_KEY or AZURE_OPENAI_AD_TOKEN"):
        open_openai("gpt", None, "OPENAI_API_KEY", 1)
    monkeypatch.delenv("OPENAI_API_VERSION")
    with pytest.raises(InputError, match=r"set OPENAI_API_VERSION to .* such as 2024-10-21"):
        open_openai("gpt", None, "OPENAI_API_KEY", 1)


def test_headers_of_the_environment_are_sent_and_not_told(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Gateway-Key: very-secret-value\nX-Team: judges")
    server.answer = lambda _: (401, {"error": {"message": "not with very-secret-value"}})
    with pytest.raises(EngineError, match=r"not with \*\*\*") as caught:
        said(open_openai("m", server.url, "NO_KEY", 1))
    assert "very-secret" not in str(caught.value)
    assert (server.headers[0]["X-Gateway-Key"], server.headers[0]["X-Team"]) == ("very-secret-value", "judges")


def test_the_sdks_own_headers_count_the_attempts(server: Server) -> None:
    answers = iter([(500, {}), (200, {"error": {"message": "busy", "code": 429}})])
    server.answer = lambda _: next(answers, None) or completion("ok")
    assert said(open_openai("m", server.url, "NO_KEY", 1)) == "ok"
    assert [headers["x-stainless-retry-count"] for headers in server.headers] == ["0", "1", "2"]
    assert server.headers[0]["User-Agent"] == f"AsyncOpenAI/Python {openai.__version__}"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (429, openai.RateLimitError),
        (503, openai.InternalServerError),
        (302, openai.APIStatusError),
    ],
)
def test_a_failed_call_has_the_sdks_error_as_its_cause(server: Server, status: int, kind: type[Exception]) -> None:
    server.answer = lambda _: (status, {"error": {"message": "no"}}, {"Retry-After": "1000"})
    assert type(cause_at(server.url)) is kind


@pytest.mark.parametrize(
    ("url", "kind"), [("http://127.0.0.1:9/v1", openai.APIConnectionError), (None, openai.APITimeoutError)]
)
def test_a_call_without_a_reply_has_the_sdks_error_as_its_cause(
    server: Server, url: str | None, kind: type[Exception]
) -> None:
    server.answer = lambda _: server.stopping.wait(5) or completion("late")  # type: ignore[assignment,return-value]
    assert type(cause_at(url or server.url, 0.05)) is kind


def cause_at(url: str, timeout_s: float = 5.0) -> Any:
    @asynccontextmanager
    async def opened() -> Any:
        async with connected(Account.of("m", url, "NO_KEY"), Limits(timeout_s), 1) as connection:

            async def ask(_: int) -> BaseException | None:
                try:
                    await connection.post(b"{}", decode)
                except CallFailed as failed:
                    return failed.__cause__
                return None

            yield ask

    [cause] = results(opened, iter([0]), 1)
    return cause


def test_the_sdk_is_loaded_only_once_a_server_is_asked() -> None:
    program = (
        "import sys; import judges.score.scoring; from engines.served.openai_engine import open_openai; "
        f"open_openai('m', {OFFICIAL!r} + '/x', 'NO_KEY', 1); print('openai' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False"]


@pytest.mark.parametrize(
    ("base", "beside"),
    [
        ("http://host:8000/v1", "http://host:8000/version"),
        ("http://host/a/v1/?key=k", "http://host/a/version?key=k"),
        ("http://host/openai", "http://host/openai/version"),
    ],
)
def test_what_vllm_has_beside_its_api_is_found_there(base: str, beside: str) -> None:
    assert Account.of("m", base, "NO_KEY").at("/version") == beside
