"""Asks a server for its description of itself, which it need not give."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from engines.served.http_call import Failure
from engines.served.identity import Nothing
from engines.served.replies.body import BrokenReply, parse_body
from engines.served.replies.failures import shortened

TIMEOUT_S = 10.0
N_ATTEMPTS = 3
FIRST_WAIT_S = 0.3
PASSING = {408, 425, 429, 500, 502, 503, 504}
"""The statuses after which another attempt may do better."""


async def found_at(got: Callable[[str, float], Awaitable[bytes | Failure]], urls: Sequence[str]) -> object:
    """Return the JSON that the first of `urls` gives, or Nothing if none gives any.

    None means that the server cannot be reached. Its calls will report the reason.
    """
    why, passing = "", False
    for url in urls:
        for number in range(N_ATTEMPTS):
            await asyncio.sleep(FIRST_WAIT_S * number)
            found = await got(url, TIMEOUT_S)
            if not isinstance(found, Failure) or found.status not in PASSING:
                break
        if not isinstance(found, Failure):
            try:
                return parse_body(found)
            except BrokenReply as broken:
                why, passing = shortened(broken.reason), broken.may_pass
                continue
        if found.timed_out:
            return Nothing(f"/models: no reply within {TIMEOUT_S:g} s", may_pass=True)
        if found.status is None:
            return None
        why, passing = why or str(found.status), passing or found.status in PASSING
    return Nothing(f"/models: {why}", passing)
