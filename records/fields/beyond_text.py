"""Finds what a record has beside text: tools, whose rows are left out of training, and images, which are refused."""

from collections.abc import Iterator
from typing import Any

from records.fields.messages import CALLS, ROLE_FIELDS, ROLES, json_list
from records.fields.values import Record

TOOL_FIELDS, MEDIA_FIELDS = ("tools", "functions"), ("image", "images", "video", "videos", "audio", "audios")
CALLING_ROLES = ("function_call", "tool_call")
TOOL_PARTS = (
    "tool_use", "tool_result", "server_tool_use", "tool_call", "function_call", "function_call_output",
    "functionCall", "functionResponse",
)  # fmt: skip
MEDIA_PARTS = (
    "image", "image_url", "input_image", "video", "video_url", "audio", "audio_url", "input_audio", "inlineData",
    "inline_data", "fileData", "file_data", "file", "document",
)  # fmt: skip
"""The types of a content's parts, as OpenAI, Anthropic and Gemini name them."""
EMPTY = ("", "[]", "{}", "null", "none")
REQUEST = "input"


def tools_in(record: Record) -> str | None:
    """Return the first sign of tools in a record: a list of them, a call of one, a turn or a part of one; or None."""
    for holder in _holders(record):
        if _is_turn(holder):
            name = next((name for name in CALLS if holder.get(name)), None)
            if name or _role(holder) in CALLING_ROLES:
                return "a turn calls a tool"
            if ROLES.get(_role(holder)) == "tool":
                return "a turn is a tool's"
            if part := next((kind for kind in _kinds(holder) if kind in TOOL_PARTS), None):
                return f"a turn has a part of the type '{part}'"
        elif name := next((name for name in TOOL_FIELDS if _lists(holder.get(name))), None):
            return f"'{name}' offers tools"
    return None


def media_in(record: Record) -> str | None:
    """Return the first image, video or sound in a record, in words, or None."""
    for holder in _holders(record):
        if _is_turn(holder):
            if part := next((kind for kind in _kinds(holder) if kind in MEDIA_PARTS), None):
                return f"a turn has a part of the type '{part}'"
        elif name := next((name for name in MEDIA_FIELDS if _is_there(holder.get(name))), None):
            return f"it has '{name}'"
    return None


def _holders(record: Record) -> Iterator[dict[str, Any]]:
    """Yield the record, the turns in its fields, and the request in its `input` (OpenAI's preferences)."""
    yield record
    for name, value in record.items():
        inner = json_list(value) if isinstance(value, str) and value.startswith("[") else value
        if isinstance(inner, dict) and name == REQUEST and not _is_turn(inner):
            yield from _holders(inner)
        for item in inner if isinstance(inner, list) else [inner]:
            if isinstance(item, dict) and _is_turn(item):
                yield item


def _is_turn(holder: dict[str, Any]) -> bool:
    return any(isinstance(holder.get(name), str) for name in ROLE_FIELDS)


def _role(turn: dict[str, Any]) -> str:
    named = next(turn[name] for name in ROLE_FIELDS if isinstance(turn.get(name), str))
    return str(named).strip().casefold()


def _kinds(turn: dict[str, Any]) -> Iterator[str]:
    """Yield the types of the parts of a turn's content. A part without a type is named by its first field."""
    for content in (turn.get(name) for name in ("content", "parts", "value")):
        for part in content if isinstance(content, list) else ():
            if isinstance(part, dict):
                named = part.get("type")
                fields = [name for name, value in part.items() if value is not None]
                yield named if isinstance(named, str) else "" if "text" in fields else next(iter(fields), "")


def _lists(value: object) -> bool:
    """Return whether a field lists something, as a list or written as JSON."""
    if isinstance(value, str):
        return value.lstrip().startswith(("[", "{")) and value.strip() not in EMPTY
    return isinstance(value, list | dict) and bool(value)


def _is_there(value: object) -> bool:
    if isinstance(value, str):
        return value.strip().casefold() not in EMPTY
    if isinstance(value, list):
        return any(item is not None for item in value)
    return isinstance(value, dict | bytes) and bool(value)
