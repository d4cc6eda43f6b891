"""A reply that comes as a stream of events although none was asked for, put together into one."""

from collections.abc import Iterator, Mapping
from typing import Any

from engines.served.replies.plain import BrokenReply, parse_text

FIELDS = ("data:", "event:", "id:", "retry:", ":")
"""The beginnings of an event stream's lines (the last is a comment)."""
DONE = "[DONE]"
TEXTS = ("content", "reasoning_content", "reasoning", "refusal")
"""The fields of a message that come in pieces."""


def is_stream(text: str) -> bool:
    """Return whether a body is an event stream."""
    return text.lstrip("\ufeff \t\r\n").startswith(FIELDS)


def joined(text: str) -> object:
    """Return the whole reply of an event stream as a server sends it that does not stream.

    An event with an error, or with a whole message, is returned as it is. Raises BrokenReply, which may pass, if
    the stream breaks off before its reply has ended.
    """
    message: dict[str, Any] = {}
    choice: dict[str, Any] = {}
    tokens: list[object] = []
    whole: dict[str, Any] = {}
    ended = False
    for data in _events(text):
        if data == DONE:
            ended = True
            break
        event = parse_text(data)
        if not isinstance(event, dict):
            continue
        if event.get("error"):
            return event | ({"usage": whole["usage"]} if "usage" in whole else {})
        whole |= {name: value for name, value in event.items() if name != "choices" and value is not None}
        for piece in _pieces(event):
            if isinstance(piece.get("message"), dict):
                return event
            if piece.get("error"):
                choice["error"] = piece["error"]
            if piece.get("finish_reason") is not None:
                choice["finish_reason"], ended = piece["finish_reason"], True
            listed = piece.get("logprobs")
            if isinstance(listed, dict) and isinstance(listed.get("content"), list):
                tokens += listed["content"]
            _add(message, piece.get("delta") if "delta" in piece else {"content": piece.get("text")})
    if not (message or choice):
        raise BrokenReply("the reply is a stream without a text", may_pass=True)
    if not ended:
        raise BrokenReply("the reply is a stream that broke off", may_pass=True)
    if tokens:
        choice["logprobs"] = {"content": tokens}
    return whole | {"choices": [choice | {"message": message}]}


def _events(text: str) -> Iterator[str]:
    """Yield the data of each event, its lines joined. Comments and other fields are left out."""
    lines: list[str] = []
    # A blank line ends an event. One is added for a stream that ends without it.
    for line in (*text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n"), ""):
        if line.startswith("data:"):
            lines.append(line.removeprefix("data:").removeprefix(" "))
        elif not line and lines:
            yield "\n".join(lines).strip()
            lines = []


def _pieces(event: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the pieces of an event's first choice."""
    choices = event.get("choices")
    for piece in choices if isinstance(choices, list) else ():
        if isinstance(piece, dict) and piece.get("index") in (0, None):
            yield piece


def _add(message: dict[str, Any], delta: object) -> None:
    """Add a piece of a message to what there is of it."""
    if not isinstance(delta, dict):
        return
    for name, value in delta.items():
        if name in TEXTS and isinstance(value, str):
            before = message.get(name)
            message[name] = (before if isinstance(before, str) else "") + value
        elif isinstance(value, list) and value:
            before = message.get(name)
            message[name] = [*(before if isinstance(before, list) else []), *value]
        # Other texts, such as the role, are whole in each piece: the first one stays.
        elif value is not None and not (name in message and isinstance(value, str)):
            message[name] = value
