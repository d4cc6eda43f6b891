"""A reply's body as plain data, read with forbearance: what a server's JSON writer got wrong costs no paid reply."""

import json

import msgspec

from engines.served.replies.plain import KEPT_CHARS as KEPT_CHARS
from engines.served.replies.plain import BrokenReply as BrokenReply
from engines.served.replies.plain import parse_text
from engines.served.replies.stream import is_stream, joined


def parse_body(data: bytes) -> object:
    """Return the JSON value of `data`. Raises BrokenReply, which may pass if the body was cut off.

    A byte order mark, UTF-16, bytes that are no UTF-8, halves of surrogate pairs, NaN, infinities and bytes after a
    reply are accepted. So is a stream of events, which some servers send unasked.
    """
    try:
        return msgspec.json.decode(data)
    except RecursionError:
        raise BrokenReply("the reply is nested too deeply") from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass
    text = data.decode(json.detect_encoding(data), errors="replace").removeprefix("\ufeff")
    return joined(text) if is_stream(text) else parse_text(text)


def is_utf8(data: bytes) -> bool:
    """Return whether all of `data` is UTF-8, so that nothing was replaced in reading it."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
