"""The tokens of a reply with their log-probabilities, from every form in which servers list them."""

import math

import msgspec


class Alternative(msgspec.Struct, frozen=True):
    """A token that could have stood at a position."""

    token: str
    logprob: float
    """NaN if the server gives no number for it."""
    bytes: list[int] | None = None


class Token(msgspec.Struct, frozen=True):
    """A token of the reply, with the most likely tokens at its position."""

    token: str
    logprob: float
    """NaN if the server gives no number for it."""
    top_logprobs: list[Alternative] | None = None
    bytes: list[int] | None = None


class Logprobs(msgspec.Struct, frozen=True):
    """The reply's tokens in order, or None if there are none or their form cannot be read."""

    content: list[Token] | None = None


def logprobs_of(found: object) -> Logprobs | None:
    """Return the tokens that a choice's `logprobs` list.

    Both the list of objects of chat completions and the parallel lists of plain completions are read.
    """
    if not isinstance(found, dict):
        return None
    listed = found.get("content")
    tokens = _tokens(listed) if isinstance(listed, list) else _parallel(found)
    return Logprobs(tokens or None)


def _tokens(listed: list[object]) -> list[Token] | None:
    tokens = []
    for item in listed:
        if not isinstance(item, dict) or not isinstance(item.get("token"), str):
            return None
        tops = item.get("top_logprobs")
        tokens.append(
            Token(item["token"], _number(item.get("logprob")), _alternatives(tops), _bytes(item.get("bytes")))
        )
    return tokens


def _parallel(found: dict[str, object]) -> list[Token] | None:
    texts, logprobs, tops = (found.get(name) for name in ("tokens", "token_logprobs", "top_logprobs"))
    if not (isinstance(texts, list) and isinstance(logprobs, list) and len(texts) == len(logprobs)):
        return None
    if not all(isinstance(text, str) for text in texts):
        return None
    listed_tops = tops if isinstance(tops, list) and len(tops) == len(texts) else [None] * len(texts)
    return [
        Token(text, _number(lp), _alternatives(top)) for text, lp, top in zip(texts, logprobs, listed_tops, strict=True)
    ]


def _alternatives(tops: object) -> list[Alternative] | None:
    """Return the tokens listed for a place, as objects or as an object from each to its log-probability."""
    if isinstance(tops, dict):
        return [Alternative(token, _number(logprob)) for token, logprob in tops.items()]
    if not isinstance(tops, list):
        return None
    return [_alternative(top) for top in tops]


def _alternative(top: object) -> Alternative:
    """Return a listed token. An unreadable one gets no number, because it may have been a choice."""
    if isinstance(top, dict) and isinstance(top.get("token"), str):
        return Alternative(top["token"], _number(top.get("logprob")), _bytes(top.get("bytes")))
    return Alternative("", math.nan)


def _bytes(found: object) -> list[int] | None:
    """Return a token's bytes, None if they are not given as such."""
    if isinstance(found, list) and all(type(byte) is int and 0 <= byte < 256 for byte in found):  # True is an int too
        return found
    return None


def _number(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:  # an integer of hundreds of digits
            return math.nan
    return math.nan
