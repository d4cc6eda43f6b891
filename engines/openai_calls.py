"""Calls to an OpenAI-compatible server, several under way at once."""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from ssl import SSLContext
from typing import Any, Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import msgspec

from console.errors import EngineError
from engines import in_flight
from engines.chat_reply import ChatReply, Reply, decode
from engines.http_call import CallFailed, post

FATAL = {
    401: "is the key right?",
    403: "is the key right, and may it use this model?",
    404: "is --base-url right, and is the model served there?",
}
"""The statuses that will be the same for every call, and what to look at."""
CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 600
"""How long a server may send nothing."""


@dataclass(frozen=True)
class Call:
    """What came of asking once, retries included."""

    reply: Reply | None
    error: str | None
    usage: dict[str, Any]
    """The fields of a Completion or Choice that say what the call cost."""


class Calls(Protocol):
    """Something that makes calls, or knows what came of them."""

    def __call__(self, todo: Iterator[int], body: Callable[[int], dict[str, Any]]) -> Iterator[tuple[int, Call]]:
        """Yield each index of `todo` with its call, as calls return; `body` makes what is sent once its turn comes.

        Raises EngineError where no call can succeed.
        """
        ...


@dataclass
class ServedCalls:
    """Asks a server, `concurrency` calls under way at once. A call that fails after its retries has an error."""

    server: str
    """The base URL, without a slash at its end."""
    headers: dict[str, str] = field(repr=False)  # has the key
    concurrency: int
    answered: bool = field(default=False, init=False)
    """Whether any call had an answer: until then a server that cannot be reached is an EngineError."""

    def __call__(self, todo: Iterator[int], body: Callable[[int], dict[str, Any]]) -> Iterator[tuple[int, Call]]:
        """Yield what came of each call; see `Calls`."""

        @asynccontextmanager
        async def opened() -> AsyncIterator[in_flight.Ask[tuple[int, Call]]]:
            async with self._session() as session:

                async def ask(index: int) -> tuple[int, Call]:
                    return index, await self._call(session, body(index))

                yield ask

        return in_flight.results(opened, todo, self.concurrency)

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self.concurrency, ssl=self._tls),
            headers=self.headers,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=READ_TIMEOUT_S),
            proxy=_proxy(self.server),
        )

    @cached_property
    def _tls(self) -> SSLContext | bool:
        if not self.server.startswith("https:"):
            return True
        from httpx2 import create_ssl_context  # finds the certificates of a Mac too, as OpenSSL's own defaults do not

        return create_ssl_context()

    async def _call(self, session: aiohttp.ClientSession, body: dict[str, Any]) -> Call:
        started = time.monotonic()
        n_failed = 0
        try:
            data, n_failed = await post(session, f"{self.server}/chat/completions", msgspec.json.encode(body))
            reply = decode(data)
        except CallFailed as failed:
            self._check(failed)
            return _failed(failed.reason, failed.n_calls, started)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return _failed(f"{type(error).__name__}: {error}", n_failed + 1, started)
        self.answered = True
        return Call(reply.choices[0], None, usage_of_reply(reply, n_failed, time.monotonic() - started))

    def _check(self, failed: CallFailed) -> None:
        """Raise EngineError where no other call would do better."""
        if failed.status in FATAL:
            raise EngineError(f"{self.server}: {failed.reason}; {FATAL[failed.status]}") from None
        if failed.status is None and not self.answered:
            asked = "is --base-url right, and is it running?"
            raise EngineError(f"{self.server}: no server answers there; {asked} ({failed.reason})") from None


def usage_of_reply(reply: ChatReply, n_failed: int, seconds: float) -> dict[str, Any]:
    """Return what a call cost that `n_failed` failed attempts came before."""
    n_prompt, n_new = (reply.usage.prompt_tokens, reply.usage.completion_tokens) if reply.usage else (0, 0)
    return {
        "n_prompt_tokens": n_prompt,
        "n_tokens": n_new,
        "n_calls": n_failed + 1,
        "n_failed": n_failed,
        "seconds": seconds,
    }


def _failed(reason: str, n_calls: int, started: float) -> Call:
    usage = {"n_calls": n_calls, "n_failed": n_calls, "seconds": time.monotonic() - started}
    return Call(None, f"call failed: {reason}", usage)


def _proxy(server: str) -> str | None:
    """Return the proxy that the environment names for `server`; aiohttp itself would look it up at every call."""
    parts, proxies = urlsplit(server), getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy is None or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if urlsplit(proxy).scheme not in ("http", "https"):
        raise EngineError(f"{server}: the environment's proxy for it is no http proxy; unset it, or set NO_PROXY")
    return proxy
