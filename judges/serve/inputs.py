"""Texts and chats in the forms in which callers send them: OpenAI's items and parts, rendered chat templates."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from console.errors import InputError
from engines.chat.neutral import COMMON_SPECIAL_TOKENS
from records import Message, text_of

TEXT_PARTS = {"input_text": "text", "output_text": "text", "text": "text", "refusal": "refusal"}
CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
BEGINS = ("<bos>", "<|begin_of_text|>", "<s>")
"""The tokens that a template may write before the first turn."""
OUTPUTS = ("function_call_output", "custom_tool_call_output")
TURN = re.compile(
    r"(?:<\|im_start\|>|<start_of_turn>|<\|start_header_id\|>)(?P<role>\w+)(?:<\|end_header_id\|>)?\n+"
    r"(?P<content>.*?)(?:<\|im_end\|>|<end_of_turn>|<\|eot_id\|>)",
    re.DOTALL,
)
"""A turn in the chat templates of Qwen and SmolLM2 (ChatML), Gemma and Llama 3."""
NO_TURN = re.compile(
    r"\s*(?:(?:<\|im_start\|>|<start_of_turn>|<\|start_header_id\|>)(?:assistant|model)(?:<\|end_header_id\|>)?\s*"
    r"(?:<think>\s*(?:</think>\s*)?)?)?"
)
"""What else a template writes: the head of the answer, with Qwen's and DeepSeek's tags of reasoning."""


def turns_of(items: Sequence[Any], where: str) -> list[Message]:
    """Return OpenAI's input items as turns. Raises InputError, naming the place, for an image and what is no item."""
    turns = []
    for place, item in enumerate(items):
        kind = item.get("type", "message") if isinstance(item, Mapping) else type(item).__name__
        here = f"{where}[{place}]"
        if kind == "message" and isinstance(item.get("role"), str):
            turns.append({"role": item["role"], "content": content_text(item.get("content"), f"{here}.content")})
        elif kind in CALLS:
            call = f"{item.get('name')}({item.get(CALLS[kind])})"
            turns.append({"role": f"call {item.get('call_id')}", "content": call})
        elif kind in OUTPUTS:
            output = content_text(item.get("output"), f"{here}.output")
            turns.append({"role": f"output of call {item.get('call_id')}", "content": output})
        elif kind != "reasoning":
            raise InputError(f"{here} must be a message with a role, a call or an output, found {kind!r}")
    return turns


def input_text(given: str | Sequence[Any], where: str = "input") -> str:
    """Return an input as one text, with roles if it has several items. Raises InputError as `turns_of` does."""
    if isinstance(given, str):
        return given
    turns = turns_of(given, where)
    return text_of(turns) if turns else ""


def content_text(content: object, where: str) -> str:
    """Return the content of a turn as text. Raises InputError for an image."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise InputError(f"{where} must be text or a list of parts, found {type(content).__name__}")
    texts = []
    for place, part in enumerate(content):
        kind = part.get("type") if isinstance(part, dict) else type(part).__name__
        if kind == "input_json":
            texts.append(json.dumps(part.get("data"), ensure_ascii=False))
        elif kind in TEXT_PARTS and isinstance(part.get(TEXT_PARTS[kind]), str):
            texts.append(part[TEXT_PARTS[kind]])
        else:
            raise InputError(f"{where}[{place}] must be a part of text or JSON, found {kind!r}: only text is judged")
    return "\n".join(texts)


def chat_of(rendered: str) -> str | list[Message]:
    """Return the turns of a prompt that a chat template rendered, or the text itself if it is none that is known."""
    rest = TURN.sub("", rendered)
    for token in BEGINS:
        rest = rest.removeprefix(token)
    turns = [{"role": found["role"], "content": found["content"]} for found in TURN.finditer(rendered)]
    if not turns or not NO_TURN.fullmatch(rest):
        return rendered  # it may quote a turn
    roles = {"model": "assistant"}  # Gemma's
    return [turn | {"role": roles.get(turn["role"], turn["role"])} for turn in turns]


def without_end(text: str) -> str:
    """Return an answer without the special tokens that end it."""
    while True:
        shorter = text.rstrip()
        token = next((token for token in COMMON_SPECIAL_TOKENS if shorter.endswith(token)), None)
        if token is None:
            return text
        text = shorter.removesuffix(token)
