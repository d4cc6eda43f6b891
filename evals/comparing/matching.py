"""Matches prompts and answers of different files by the prompts' texts."""

import msgspec

from records import Message, Response, messages_of, text_of
from records.reasoning import without_reasoning


def key_of(prompt: str | list[Message], system: str | None = None) -> str:
    """Return the text that a prompt and its answers share."""
    return text_of(messages_of(prompt, system)).strip()


def stripped(answer: Response) -> Response:
    """Return an answer without the reasoning before it, which no reader sees and not every server returns."""
    return msgspec.structs.replace(answer, response=without_reasoning(answer.response))
