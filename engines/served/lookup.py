"""Asks a server for its description of itself, which it need not give."""

import asyncio
from collections.abc import Mapping, Sequence

import aiohttp

from engines.served.identity import Nothing
from engines.served.replies.body import BrokenReply, parse_body
from engines.served.replies.failures import shortened

TIMEOUT_S = 10.0
MOST_BYTES = 4 * 2**20
N_ATTEMPTS = 3
FIRST_WAIT_S = 0.3
PASSING = {408, 425, 429, 500, 502, 503, 504}
"""The statuses after which another attempt may do better."""


async def found_at(session: aiohttp.ClientSession, urls: Sequence[str], headers: Mapping[str, str]) -> object:
    """Return the JSON that the first of `urls` gives, or Nothing if none gives any.

    None means that the server cannot be reached. Its calls will report the reason.
    """
    why, passing = "", False
    for url in urls:
        for number in range(N_ATTEMPTS):
            await asyncio.sleep(FIRST_WAIT_S * number)
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    status, data = await _got(session, url, headers)
            except TimeoutError:
                return Nothing(f"/models: no reply within {TIMEOUT_S:g} s", may_pass=True)
            except (aiohttp.ClientError, ValueError):
                return None
            if status not in PASSING:
                break
        if status == 200:
            try:
                return parse_body(data)
            except BrokenReply as broken:
                why, passing = shortened(broken.reason), broken.may_pass
                continue
        why, passing = why or str(status), passing or status in PASSING
    return Nothing(f"/models: {why}", passing)


async def _got(session: aiohttp.ClientSession, url: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
    """Return the status and the body at `url`, truncated if it is too long."""
    async with session.get(url, headers=headers, allow_redirects=False) as reply:
        data = b""
        async for part in reply.content.iter_any():
            data += part
            if len(data) > MOST_BYTES:
                reply.close()
                break
        return reply.status, data
