"""Reasons why a reply has no verdict, in the words that engines and readers of stored rows share."""

LEAST = 4096
"""Enough tokens for most reasoning models on a question of a page."""
INSIDE = "cut off inside its reasoning"
"""The words of a reason that more room would have helped with."""


def more_room(thinking_tokens: int | None, max_new_tokens: int = 0) -> str:
    """Return the advice for a model that had `thinking_tokens`, or in process `max_new_tokens` in all.

    `thinking_tokens` is None for a model in process, which has one limit for reasoning and reply.
    """
    if thinking_tokens is None:
        return f"--max-new-tokens {max(LEAST, 2 * max_new_tokens)} makes room for it"
    return f"--thinking-tokens {max(LEAST, 2 * thinking_tokens)} makes room for it"


def names_no_choice(text: str) -> str:
    """Return the reason for no verdict of a reply with `text`, which was to name a choice."""
    return f"the reply names no choice: {text[:80]!r}"
