"""Reads the message and the status of a server's error in any form, and whether it may pass."""

import math
import re
from collections.abc import Iterator

import msgspec

from engines.served.replies.body import KEPT_CHARS

PASSING = {408, 409, 425, 429}
"""The statuses, besides 500 and above, after which another attempt may succeed."""
CODES = ("code", "status", "status_code", "statusCode", "http_status", "http_code", "error_code", "type", "name")
"""The fields of a provider's status, which is a number or its name."""
BUSY = ("ratelimit", "toomanyrequests", "resourceexhausted", "throttl")
DOWN = (
    "overloaded",
    "unavailable",
    "internalserver",
    "internalerror",
    "servererror",
    "badgateway",
    "timeout",
    "timedout",
    "deadlineexceeded",
)
"""Names of a status that passes, with the letters alone and in lower case: OpenAI's, Anthropic's, Google's, vLLM's."""
NAMED = {"internal": 500, "apierror": 500}
STATUS = re.compile(r"\s*(?:HTTP|Error|HTTP Error)?\s*([1-5]\d\d)\b(?![.,]\d)", re.IGNORECASE)
DEEPEST = 6
SHOWN_CHARS = 200
LONGEST_SHOWN = 240


def may_pass(status: int | None) -> bool:
    """Return whether a later attempt may succeed after a failure with `status`."""
    return status is not None and (status >= 500 or status in PASSING)


def error_text(error: object, longest: int = SHOWN_CHARS) -> str:
    """Return the text of an error on one line: its `message` or `error` at any depth, if it has one.

    The message of the provider behind a gateway follows the gateway's. If the text may hold secrets, give a large
    `longest`, hide them and then use `shortened`, or else a part of a key would be left at the cut.
    """
    behind = ""
    while isinstance(error, dict) and ("error" in error or "message" in error):
        metadata = error.get("metadata")
        if isinstance(metadata, dict) and isinstance(raw := metadata.get("raw"), str) and raw.strip():
            behind = f": {error_text(_plain(raw), longest)}"
        error = error.get("message") or error.get("error")
    return (" ".join(str(error).split()) + behind)[:longest]


def shortened(text: str) -> str:
    """Return as much of a message as is shown."""
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def status_of(found: object) -> int | None:
    """Return the HTTP status that an error body names, as a number, a text or a name, or None if it names none."""
    return next(_statuses(found, DEEPEST), None)


def said_of_error(found: object, status: int | None) -> str:
    """Return `status` and what an error says, on one line."""
    text = error_text(found, KEPT_CHARS)
    return text if status is None or text.startswith(str(status)) else f"{status}: {text}"


def says_something(error: object) -> bool:
    """Return whether the `error` of a reply is not empty. Some servers send an empty one with every good reply."""
    if isinstance(error, dict):
        return any(map(says_something, error.values()))
    return bool(error)


def _plain(text: str) -> object:
    """Return the JSON value of `text`, or the text itself if it is not JSON."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return text


def _statuses(found: object, depth: int) -> Iterator[int]:
    """Yield what may be a status, the outermost first."""
    if isinstance(found, str):
        yield from _in_text(found, depth)
    elif depth and isinstance(found, list):
        for item in found[:10]:
            if isinstance(item, dict | list):
                yield from _statuses(item, depth - 1)
    elif depth and isinstance(found, dict):
        for name in CODES:
            yield from _status(found.get(name))
        for name, value in found.items():
            if isinstance(value, dict | list) or name in ("raw", "error"):
                yield from _statuses(value, depth - 1)


def _status(value: object) -> Iterator[int]:
    if isinstance(value, bool):
        return
    if isinstance(value, int | float):
        if math.isfinite(value) and 400 <= value <= 599:
            yield int(value)
    elif isinstance(value, str):
        if (match := STATUS.match(value)) and int(match[1]) >= 400:
            yield int(match[1])
            return
        letters = "".join(filter(str.isalpha, value)).lower()
        if any(name in letters for name in BUSY):
            yield 429
        elif any(name in letters for name in DOWN):
            yield 503
        elif letters in NAMED:
            yield NAMED[letters]


def _in_text(text: str, depth: int) -> Iterator[int]:
    """Yield the status that a text begins with, or those of an error that some gateway has put into a text."""
    if (match := STATUS.match(text)) and int(match[1]) >= 400:
        yield int(match[1])
    elif depth and text.lstrip().startswith("{"):
        inner = _plain(text)
        if not isinstance(inner, str):
            yield from _statuses(inner, depth - 1)
