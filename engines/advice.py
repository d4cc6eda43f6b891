"""Advises a flag and a number of tokens for a reply that was cut off inside its reasoning."""

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
