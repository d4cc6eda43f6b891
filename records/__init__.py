"""The rows that travel between stages, and how they rest on disk."""

import console.threads  # noqa: F401  before torch is loaded
from records.rows import (
    Comparison,
    Judgment,
    Message,
    Pair,
    Prompt,
    Response,
    Usage,
    Vote,
    messages_of,
    pair_of,
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
    "messages_of",
    "pair_of",
    "read_rows",
    "text_of",
    "write_atomic",
]
