"""Takes the meaning from special tokens that stand in ordinary text."""

import re
from collections.abc import Iterable
from functools import lru_cache

from records.rows import Message

COMMON_SPECIAL_TOKENS = (
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>",
    "<|begin_of_text|>", "<|end_of_text|>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>", "<s>", "</s>",
    "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<start_of_turn>", "<end_of_turn>", "<bos>", "<eos>", "<pad>",
    "[TOOL_CALLS]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "<think>", "</think>", "<｜User｜>", "<｜Assistant｜>",
    "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>",
)  # fmt: skip
"""What the chat templates of widely used models are made of, for servers that do not say which one they have."""


def neutralise(text: str, special_tokens: Iterable[str]) -> str:
    """Return `text` with a space inside each special token, so that a tokenizer reads it as ordinary characters."""
    pattern = _pattern(tuple(special_tokens))
    while pattern.search(text):  # taking one apart can bring another together
        text = pattern.sub(lambda match: f"{match[0][0]} {match[0][1:]}", text)
    return text


def neutralised(messages: list[Message], special_tokens: Iterable[str]) -> list[Message]:
    """Return `messages` with the special tokens in their contents taken apart."""
    known = tuple(special_tokens)
    return [{**message, "content": neutralise(message["content"], known)} for message in messages]


@lru_cache(maxsize=64)
def _pattern(special_tokens: tuple[str, ...]) -> re.Pattern[str]:
    tokens = sorted((token for token in special_tokens if len(token) > 1), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, tokens)) or r"(?!)")  # the longest first, or nothing at all
