"""Says whether a text ended where its writer meant it to end."""

TOKEN_LIMIT = frozenset({"length", "max_tokens", "max_output_tokens", "max_length", "model_length"})
"""The finish reasons of a text that was longer than allowed."""
WHOLE = frozenset({"", "stop", "stop_sequence", "eos_token", "end_turn"})
"""The finish reasons of a whole text, in lower case: OpenAI's, Anthropic's and text-generation-inference's; "" for a
server that gives none."""


def cut_off(finish_reason: str | None) -> str | None:
    """Return why a text is no whole text, for example `length` or `content_filter`; None where it is whole.

    A reason that is not known counts as cut off: what was going to be said is then not known either. A row without a
    reason is taken as whole.
    """
    reason = (finish_reason or "").strip().lower()
    return None if reason in WHOLE else reason


def at_token_limit(finish_reason: str | None) -> bool:
    """Return whether a text was cut off because no more tokens were allowed, so that allowing more helps."""
    return cut_off(finish_reason) in TOKEN_LIMIT
