"""One call to a server, tried again after a failure that may pass, at a third of the openai SDK's processor time."""

import asyncio
import random
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import aiohttp
import msgspec

MAX_RETRIES = 4
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 8.0
LONGEST_TOLD_WAIT_S = 120.0
"""A server that asks for a longer wait is not asked again."""
PASSING = {408, 409, 429}
"""The statuses, besides 500 and above, after which another attempt may succeed."""
LASTING = (aiohttp.ClientConnectorCertificateError, aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError)
"""What no later attempt changes, of what keeps a call from an answer."""


class CallFailed(Exception):  # noqa: N818 (nothing is wrong with the program)
    """No attempt succeeded; `status` is None where there was no whole reply."""

    def __init__(self, status: int | None, reason: str, n_calls: int) -> None:
        super().__init__(reason)
        self.status, self.reason, self.n_calls = status, reason, n_calls


@dataclass(frozen=True)
class _Failure:
    """How one attempt failed."""

    status: int | None
    reason: str
    may_pass: bool
    told_wait_s: float | None = None


async def post(session: aiohttp.ClientSession, url: str, body: bytes) -> tuple[bytes, int]:
    """Return the reply to `body` and how many attempts failed before it; raises CallFailed after the last one.

    Which failures are tried again, and after how long, follows the openai SDK: `x-should-retry` decides where a server
    sends it, and `retry-after-ms` or `retry-after` (seconds or a date) replaces the wait, which doubles each time.
    """
    n_failed = 0
    while isinstance(found := await _attempt(session, url, body), _Failure):
        n_failed += 1
        if n_failed > MAX_RETRIES or not found.may_pass:
            raise CallFailed(found.status, found.reason, n_failed)
        await asyncio.sleep(_wait_s(found, n_failed))
    return found, n_failed


def error_text(found: object) -> str:
    """Return what an error says, on one line: its `message` or `error`, at any depth, where it has one."""
    while isinstance(found, dict) and ("error" in found or "message" in found):
        found = found.get("message") or found.get("error")
    return " ".join(str(found).split())[:200]


async def _attempt(session: aiohttp.ClientSession, url: str, body: bytes) -> bytes | _Failure:
    try:
        async with session.post(url, data=body) as reply:
            data = await reply.read()
    except (aiohttp.ClientError, TimeoutError) as error:
        cause = error.__cause__ if isinstance(error, aiohttp.ClientSSLError) and error.__cause__ else error
        return _Failure(None, f"{type(cause).__name__}: {error_text(cause)}", not isinstance(error, LASTING))
    if reply.status < 400:
        return data
    told_wait_s = _told_wait_s(reply.headers)
    too_long = told_wait_s is not None and told_wait_s > LONGEST_TOLD_WAIT_S
    may_pass = _may_pass(reply.status, reply.headers) and not too_long
    return _Failure(reply.status, f"{reply.status}: {error_text(_decoded(data))}", may_pass, told_wait_s)


def _may_pass(status: int, headers: Mapping[str, str]) -> bool:
    told = headers.get("x-should-retry")
    return told == "true" if told in ("true", "false") else status >= 500 or status in PASSING


def _told_wait_s(headers: Mapping[str, str]) -> float | None:
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        with suppress(KeyError, ValueError):
            return float(headers[name]) * unit_s
    with suppress(ValueError):
        return parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - time.time()
    return None


def _wait_s(failure: _Failure, n_failed: int) -> float:
    if failure.told_wait_s is not None and failure.told_wait_s > 0:
        return failure.told_wait_s
    longest_s = min(FIRST_WAIT_S * 2.0 ** (n_failed - 1), LONGEST_WAIT_S)
    return longest_s * random.uniform(0.75, 1)  # so that calls refused together do not come back together


def _decoded(data: bytes) -> object:
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return data.decode(errors="replace")
