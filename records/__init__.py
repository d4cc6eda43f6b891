"""The rows that travel between stages, and how they rest on disk."""

import console.process  # noqa: F401  before torch is loaded
from records.rows import (
    Comparison,
    Judgment,
    Message,
    Pair,
    Prompt,
    Response,
    Usage,
    Vote,
    answer_key,
    messages_of,
    pair_of,
    prompt_key,
    response_key,
    text_of,
)
from records.store import Store, read_rows, write_atomic

__all__ = [
    "Comparison",
    "Judgment",
    "Message",
    "Pair",
    "Prompt",
    "Response",
    "Store",
    "Usage",
    "Vote",
    "answer_key",
    "messages_of",
    "pair_of",
    "prompt_key",
    "read_rows",
    "response_key",
    "text_of",
    "write_atomic",
]
