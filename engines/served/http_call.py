"""One attempt of a call to a server, over aiohttp, and what came of it. Retries are the openai SDK's."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TypeVar
from urllib.parse import urljoin

import aiohttp

from console.address import same_place, shown
from engines.served.replies.body import KEPT_CHARS, BrokenReply, parse_body
from engines.served.replies.failures import error_text as error_text
from engines.served.replies.failures import may_pass

LONGEST_TOLD_WAIT_S = 120.0
"""A server that asks for a longer wait is not asked again."""
MOST_BYTES = 64 * 2**20
"""The longest body that is read. A reply with 20 log-probabilities for each of 4,096 tokens has about 10 MB."""
MOVED_WITH_BODY = {307, 308}
MOST_HOPS = 3
ANYWHERE = {"accept", "content-type", "user-agent"}
"""The headers that go along to another server. The others may hold a key."""
NO_ADDRESS = (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError)
LASTING = (aiohttp.ClientConnectorCertificateError, *NO_ADDRESS)
"""Exceptions of a call that no later attempt can avoid."""

ReplyT = TypeVar("ReplyT")


@dataclass(frozen=True)
class Limits:
    """The time limits of a call."""

    timeout_s: float = 600.0
    """One attempt, from its beginning to the last byte of the reply."""
    retry_s: float = 1200.0
    """All attempts and the waits between them."""


@dataclass(frozen=True)
class Sent:
    """What one attempt sends."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    method: str = "POST"


@dataclass(frozen=True)
class Failure:
    """One failed attempt. `status` is None if there was no whole reply."""

    status: int | None
    reason: str
    may_pass: bool
    told_wait_s: float | None = None
    unreachable: bool = False
    timed_out: bool = False
    n_prompt_tokens: int = 0
    n_tokens: int = 0
    body: bytes = b""


class CallFailed(Exception):  # noqa: N818 (nothing is wrong with the program)
    """No attempt succeeded. The cost is that of all attempts."""

    def __init__(self, last: Failure, n_calls: int, n_prompt_tokens: int, n_tokens: int) -> None:
        super().__init__(last.reason)
        self.status, self.reason, self.n_calls, self.body = last.status, last.reason, n_calls, last.body
        self.may_pass, self.unreachable = last.may_pass, last.unreachable
        self.n_prompt_tokens, self.n_tokens = n_prompt_tokens, n_tokens


class _LedNowhere(Exception):  # noqa: N818 (nothing is wrong with the program)
    """A server that works redirected the call to an address that gives no reply."""

    def __init__(self, status: int, to: str, cause: Exception) -> None:
        is_address = isinstance(cause, aiohttp.ClientError) and not isinstance(cause, NO_ADDRESS)
        why = f"which gives no reply ({_named(cause)})" if is_address else "which is no address of a server"
        super().__init__(f"the server sends the call on to {shown(to).removesuffix('/chat/completions')}, {why}")
        self.status, self.cause = status, cause


async def attempted(
    session: aiohttp.ClientSession, sent: Sent, read: Callable[[bytes], ReplyT], timeout_s: float
) -> ReplyT | Failure:
    """Return `read` of the reply to `sent`, or why there is none. A BrokenReply of `read` is a failure too.

    307 and 308 are followed. Other redirects would make a GET of a call, and are failures that name the new address.
    """
    try:
        async with asyncio.timeout(timeout_s) as limit:
            reply, data = await _sent(session, sent)
    except _LedNowhere as end:
        return Failure(end.status, f"{end.status}: {end}", may_pass=not _is_lasting(end.cause))
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        if isinstance(error, TimeoutError) and limit.expired():  # and not aiohttp's own, of a connection
            late = f"no whole reply within {timeout_s:.3g} s (--timeout-s)"
            return Failure(None, late, may_pass=True, timed_out=True)
        lasting = _is_lasting(error)
        unreachable = lasting or isinstance(error, aiohttp.ClientConnectorError)
        return Failure(None, _named(error), may_pass=not lasting, unreachable=unreachable)
    if data is None:
        return Failure(reply.status, f"the reply is longer than {MOST_BYTES / 2**20:.0f} MiB", may_pass=False)
    if 300 <= reply.status < 400:
        return Failure(reply.status, _moved(sent.url, reply), may_pass=False)
    if reply.status >= 400:
        told_wait_s = _told_wait_s(reply.headers)
        too_long = told_wait_s is not None and told_wait_s > LONGEST_TOLD_WAIT_S
        again = _told_may_pass(reply.status, reply.headers) and not too_long
        return Failure(
            reply.status, f"{reply.status}: {error_text(_decoded(data), KEPT_CHARS)}", again, told_wait_s, body=data
        )
    try:
        return read(data)
    except BrokenReply as broken:
        wait_s = _told_wait_s(reply.headers)
        return Failure(
            broken.status,
            broken.reason,
            broken.may_pass,
            wait_s,
            n_prompt_tokens=broken.n_prompt_tokens,
            n_tokens=broken.n_tokens,
            body=data,
        )


async def _sent(session: aiohttp.ClientSession, sent: Sent) -> tuple[aiohttp.ClientResponse, bytes | None]:
    """Return the reply to `sent` and its data, or None for data that are too long.

    A key does not go along to another server. Raises _LedNowhere if there is no reply after a redirect.
    """
    here, headers, status = sent.url, sent.headers, 0
    for hop in range(MOST_HOPS + 1):
        try:
            async with session.request(
                sent.method, here, data=sent.body or None, headers=headers, allow_redirects=False
            ) as reply:
                to = reply.headers.get("Location")
                if reply.status not in MOVED_WITH_BODY or not to or hop == MOST_HOPS:
                    return reply, await _data(reply)
        except (aiohttp.ClientError, ValueError) as error:
            if hop == 0:
                raise
            raise _LedNowhere(status, here, error) from None
        status = reply.status
        try:
            there = urljoin(here, to)
            is_same = same_place(here, there)
        except ValueError as error:
            raise _LedNowhere(status, to, error) from None
        if not is_same:
            headers = {name: value for name, value in headers.items() if name.lower() in ANYWHERE}
        here = there
    raise AssertionError("the last hop returns")


async def _data(reply: aiohttp.ClientResponse) -> bytes | None:
    parts, n_bytes = [], 0
    async for part in reply.content.iter_any():
        n_bytes += len(part)
        if n_bytes > MOST_BYTES:
            reply.close()
            return None
        parts.append(part)
    return b"".join(parts)


def _is_lasting(error: Exception) -> bool:
    """Return whether no later attempt can avoid this error."""
    return isinstance(error, LASTING) or (isinstance(error, ValueError) and not isinstance(error, aiohttp.ClientError))


def _named(error: Exception) -> str:
    cause = error.__cause__ if isinstance(error, aiohttp.ClientSSLError) and error.__cause__ else error
    return f"{type(cause).__name__}: {error_text(cause, KEPT_CHARS)}"


def _moved(url: str, reply: aiohttp.ClientResponse) -> str:
    to = reply.headers.get("Location")
    if not to:
        return f"{reply.status}: the server sends calls elsewhere without saying where"
    try:
        there = shown(urljoin(url, to)).removesuffix("/chat/completions")
    except ValueError:
        return f"{reply.status}: the server sends calls on to what is no address: {to}"
    return f"{reply.status}: the server sends calls on to another address; give that one: {there}"


def _told_may_pass(status: int, headers: Mapping[str, str]) -> bool:
    told = headers.get("x-should-retry")
    return told == "true" if told in ("true", "false") else may_pass(status)


def _told_wait_s(headers: Mapping[str, str]) -> float | None:
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        with suppress(KeyError, ValueError):
            return float(headers[name]) * unit_s
    with suppress(ValueError):
        return parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - time.time()
    return None


def _decoded(data: bytes) -> object:
    try:
        return parse_body(data)
    except BrokenReply:
        return data.decode(errors="replace")
