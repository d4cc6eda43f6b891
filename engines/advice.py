"""Advises room for reasoning where a reply was cut off inside it: which flag, and how much."""

LEAST = 4096
"""What most models that reason do with on a question of a page."""
INSIDE = "cut off inside its reasoning"
"""How a reason says that more room would have helped."""


def more_room(thinking_tokens: int | None, max_new_tokens: int = 0) -> str:
    """Return what makes room for reasoning where a model had `thinking_tokens`, or in process `max_new_tokens` in all.

    `thinking_tokens` is None for a model in process, which has one limit for reasoning and reply.
    """
    if thinking_tokens is None:
        return f"--max-new-tokens {max(LEAST, 2 * max_new_tokens)} makes room for it"
    return f"--thinking-tokens {max(LEAST, 2 * thinking_tokens)} makes room for it"
