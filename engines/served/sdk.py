"""The openai SDK's client for a server, and its calls over one aiohttp session.

The SDK makes the addresses, the headers and the retries. Below it, an attempt goes over aiohttp and not over httpx2,
which takes a third of the processor time (`python -m benchmarks.served_calls`).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Generic, TypeVar, cast

import aiohttp
import openai
from httpx2 import (
    URL,
    AsyncBaseTransport,
    AsyncClient,
    ByteStream,
    ConnectError,
    ReadTimeout,
    Request,
    Response,
    create_ssl_context,
)
from openai import AsyncAzureOpenAI, OpenAIError
from openai._base_client import get_platform
from openai._models import FinalRequestOptions

from engines.served.account import Account, proxy_of
from engines.served.http_call import CallFailed, Failure, Limits, Sent, attempted

CHAT = "/chat/completions"
MAX_RETRIES = 4
CONNECT_TIMEOUT_S = 5
IDLE_S = 4
"""Seconds that an idle connection is kept: uvicorn, on which vLLM and SGLang stand, closes one after 5, and a call that
is sent at that moment is lost and sent again."""
EMPTY = ByteStream(b"")
"""In place of a body, which aiohttp sends and `_Attempts` keeps."""
ReplyT = TypeVar("ReplyT")


@dataclass(frozen=True)
class Answer(Generic[ReplyT]):
    """A reply and what it took to have it."""

    reply: ReplyT
    n_failed: int
    n_prompt_tokens: int = 0
    """The tokens of the failed attempts, if their replies state them."""
    n_tokens: int = 0

    def after(self, n_failed: int, n_prompt_tokens: int, n_tokens: int) -> "Answer[ReplyT]":
        """Return this answer with attempts that failed before at other servers."""
        n_prompt_tokens, n_tokens = self.n_prompt_tokens + n_prompt_tokens, self.n_tokens + n_tokens
        return Answer(self.reply, self.n_failed + n_failed, n_prompt_tokens, n_tokens)


@dataclass
class _Attempts:
    """The attempts of one call, which the SDK makes and this counts."""

    read: Callable[[bytes], Any] = bytes
    """Raises BrokenReply for a reply that is to be asked for again."""
    limits: Limits = field(default_factory=Limits)
    gave_up: Callable[[], bool] = lambda: False
    moves_on: Callable[[Failure], bool] = lambda _: False
    ends_at: float = float("inf")
    under_way: bool = False
    reply: Any = None
    failures: list[Failure] = field(default_factory=list)

    def call_failed(self, why: Exception) -> CallFailed:
        last = self.failures[-1] if self.failures else Failure(None, str(why), may_pass=False)
        n_prompt_tokens = sum(failure.n_prompt_tokens for failure in self.failures)
        n_tokens = sum(failure.n_tokens for failure in self.failures)
        return CallFailed(last, len(self.failures), n_prompt_tokens, n_tokens)

    def may_go_on(self, failure: Failure) -> bool:
        told_s = failure.told_wait_s or 0.0  # or nan
        in_time = not time.monotonic() + told_s >= self.ends_at
        return not self.moves_on(failure) and failure.may_pass and in_time and not self.gave_up()


ATTEMPTS: ContextVar[_Attempts | None] = ContextVar("ATTEMPTS", default=None)
"""Those of the call that this task makes. The SDK hands no object of ours down to its HTTP client."""


class _NoneLeft(OpenAIError):  # noqa: N818 (nothing is wrong with the program)
    """Ends the attempts: the SDK lets its own errors through, and tries again after all others of a connection."""


class AiohttpClient(AsyncClient):
    """The SDK's HTTP client, whose requests go over an aiohttp session."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        """Send over `session`, which has the certificates and the proxy, and which the caller closes."""
        super().__init__(transport=AsyncBaseTransport(), trust_env=False)
        self._session = session

    def build_request(  # type: ignore[override]
        self,
        method: str,
        url: str,
        *,
        content: bytes | None = None,
        params: Any = None,
        headers: Sequence[tuple[str, str]] = (),
        **_: Any,
    ) -> Request:
        """Return what the SDK asks to send, without what httpx2 would add for its own connections."""
        address = _parsed(url).copy_merge_params(params) if params else _parsed(url)
        sent = Sent(str(address) if params else url, dict(headers), content or b"", method)
        # The headers stand in `sent`. To parse them a second time would take a tenth of the call's time.
        return Request(method, address, stream=EMPTY, extensions={"sent": sent})

    async def send(self, request: Request, **_: Any) -> Response:
        """Make one attempt, and tell the SDK in its own terms what came of it."""
        attempts = ATTEMPTS.get() or _Attempts()
        attempts.under_way = True
        result = await attempted(self._session, request.extensions["sent"], attempts.read, attempts.limits.timeout_s)
        attempts.under_way = False
        if not isinstance(result, Failure):
            attempts.reply = result
            return Response(200, request=request, stream=EMPTY)
        attempts.failures.append(result)
        again = attempts.may_go_on(result)
        if result.status is None and not again:
            raise _NoneLeft(result.reason)
        if result.status is None and result.told_wait_s is None:
            raise (ReadTimeout if result.timed_out else ConnectError)(result.reason, request=request)
        told = {"x-should-retry": str(again).lower()}
        if result.told_wait_s is not None:
            told["retry-after"] = str(result.told_wait_s)
        # A reply without what was asked for is a server's error to the SDK too, whatever its status said.
        status = result.status if result.status is not None and result.status >= 300 else 500
        return Response(status, headers=told, content=result.body, request=request)


@lru_cache(64)
def _parsed(url: str) -> URL:
    return URL(url)


class AsyncOpenAI(openai.AsyncOpenAI):  # the name is sent as the User-Agent
    """The SDK's client, which parses each address once and not for each call."""

    def _prepare_url(self, url: str) -> URL:
        return _parsed(url) if url.startswith("http") else super()._prepare_url(url)


@dataclass(frozen=True)
class Connection:
    """An open way to a server."""

    client: openai.AsyncOpenAI
    template: FinalRequestOptions
    """The settings of a call, made once: `client.post` copies a dozen defaults for each call."""
    limits: Limits
    account: Account

    def at(self, path: str) -> "Connection":
        """Return the way to another `path` of the same server."""
        return replace(self, template=self.template.model_copy(update={"url": self.account.at(path)}))

    async def post(
        self,
        body: bytes,
        read: Callable[[bytes], ReplyT],
        gave_up: Callable[[], bool] = lambda: False,
        moves_on: Callable[[Failure], bool] = lambda _: False,
    ) -> Answer[ReplyT]:
        """Return `read` of the reply to `body`. Raises CallFailed after the last attempt, caused by the SDK's error.

        A BrokenReply of `read` is a failed attempt too. No attempt begins once `gave_up()` or the limits are over, or
        if the call `moves_on` to another server after a failed attempt.
        """
        retry_s = self.limits.retry_s
        attempts = _Attempts(read, self.limits, gave_up, moves_on, time.monotonic() + retry_s)
        ATTEMPTS.set(attempts)
        options = self.template.model_copy()
        options.content = body
        try:
            async with asyncio.timeout(retry_s):
                await self.client.request(Response, options)
        except OpenAIError as error:
            raise attempts.call_failed(error) from error
        except TimeoutError as error:
            if attempts.under_way or not attempts.failures:
                late = f"no whole reply within {retry_s:.3g} s (--retry-s)"
                attempts.failures.append(Failure(None, late, may_pass=True, timed_out=True))
            raise attempts.call_failed(error) from None
        reply = cast(ReplyT, attempts.reply)
        if not attempts.failures:
            return Answer(reply, 0)
        cost = attempts.call_failed(OpenAIError())
        return Answer(reply, cost.n_calls, cost.n_prompt_tokens, cost.n_tokens)

    async def got(self, url: str, timeout_s: float) -> bytes | Failure:
        """Return the body at `url` after one attempt."""
        attempts = _Attempts(limits=Limits(timeout_s))
        ATTEMPTS.set(attempts)
        try:
            await self.client.get(url, cast_to=Response, options={"max_retries": 0})
        except OpenAIError as error:
            return attempts.failures[-1] if attempts.failures else Failure(None, str(error), may_pass=False)
        return cast(bytes, attempts.reply)


@asynccontextmanager
async def connected(
    account: Account, limits: Limits, n_connections: int, path: str = CHAT
) -> AsyncIterator[Connection]:
    """Give a connection to a `path` of the API of `account`'s server.

    Raises EngineError if the environment's proxy cannot be used.
    """
    server = account.server
    # OpenSSL's own defaults do not find the certificates of a Mac.
    tls = create_ssl_context() if server.startswith("https:") else True
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=n_connections, ssl=tls, keepalive_timeout=IDLE_S),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
        proxy=proxy_of(server),
    ) as session:
        kind = AsyncOpenAI if account.deployment is None else AsyncAzureOpenAI
        client = kind(**account.settings, http_client=AiohttpClient(session), timeout=limits.timeout_s)
        client._platform = get_platform()  # else each of the first calls finds it out in a thread of its own
        template = FinalRequestOptions.construct(
            method="post",
            url=account.at(path),
            headers={},
            params={},
            max_retries=MAX_RETRIES,
            timeout=limits.timeout_s,
            idempotency_key="",  # is not sent, and would be made for each call
            security={"bearer_auth": True},
        )
        yield Connection(client, template, limits, account)
