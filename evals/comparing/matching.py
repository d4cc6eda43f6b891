"""Matches prompts and answers of different files by the prompts' texts."""

import unicodedata

import msgspec

from records import Message, Prompt, Response, messages_of, text_of
from records.reasoning import without_reasoning


def key_of(prompt: str | list[Message], system: str | None = None) -> str:
    """Return the text that a prompt and its answers share, in one Unicode normal form: editors differ in it."""
    return unicodedata.normalize("NFC", text_of(messages_of(prompt, system)).strip())


def key_alone(prompt: Prompt) -> str:
    """Return the text that a prompt shares with answers whose file lacks the prompt's system turn."""
    return key_of([turn for turn in messages_of(prompt.prompt) if turn["role"] != "system"])


def stripped(answer: Response) -> Response:
    """Return an answer without the reasoning before it, which no reader sees and not every server returns."""
    return msgspec.structs.replace(answer, response=without_reasoning(answer.response))
