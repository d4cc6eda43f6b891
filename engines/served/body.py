"""A reply's body as plain data, read with forbearance: what a server's JSON writer got wrong costs no paid reply."""

import json

import msgspec

SHOWN_CHARS = 80
SURROGATES = dict.fromkeys(range(55296, 57344), "�")


class BrokenReply(Exception):  # noqa: N818 (nothing is wrong with the program)
    """A reply is none; what it says of its cost is counted all the same."""

    def __init__(
        self,
        reason: str,
        *,
        status: int | None = None,
        may_pass: bool = False,
        n_prompt_tokens: int = 0,
        n_tokens: int = 0,
    ) -> None:
        """Say the reason, the status that the body names, and whether another attempt may succeed."""
        super().__init__(reason)
        self.reason, self.status, self.may_pass = reason, status, may_pass
        self.n_prompt_tokens, self.n_tokens = n_prompt_tokens, n_tokens


def parse_body(data: bytes) -> object:
    """Return the JSON value of `data`; raises BrokenReply, which may pass where the body was cut off.

    A byte order mark, bytes that are no UTF-8, halves of surrogate pairs, NaN and infinities are read.
    """
    try:
        return msgspec.json.decode(data)
    except RecursionError:
        raise BrokenReply("the reply is nested too deeply") from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass
    text = data.decode("utf-8-sig", errors="replace")
    try:
        return _without_surrogates(json.loads(text))
    except RecursionError:
        raise BrokenReply("the reply is nested too deeply") from None
    except ValueError:
        shown = " ".join(text.split())[:SHOWN_CHARS]
        what = f"no whole JSON: {shown}" if shown else "empty"
        raise BrokenReply(f"the body of the reply is {what}", may_pass=True) from None


def is_utf8(data: bytes) -> bool:
    """Return whether all of `data` is UTF-8, so that nothing was replaced in reading it."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _without_surrogates(found: object) -> object:
    """Return `found` with halves of surrogate pairs replaced: no file could hold them."""
    if isinstance(found, str):
        return found if found.isascii() else found.translate(SURROGATES)
    if isinstance(found, list):
        return [_without_surrogates(one) for one in found]
    if isinstance(found, dict):
        return {name.translate(SURROGATES): _without_surrogates(value) for name, value in found.items()}
    return found
