"""Finds out whether a text ended as its writer meant it to."""

from collections.abc import Mapping

TOKEN_LIMIT = frozenset({"length", "max_tokens", "max_output_tokens", "max_length", "model_length"})
"""The finish reasons of a text that was longer than allowed."""
TEXT_REASONS = ("finish_reason", "chosen_finish_reason", "rejected_finish_reason")
"""The fields of a row with the ends of its own texts. A judgment's `finish_reasons` are those of its replies."""
WHOLE = frozenset({"", "stop", "stop_sequence", "eos_token", "eos", "end_turn"})
"""The finish reasons of a whole text, in lower case: OpenAI's, Anthropic's, text-generation-inference's and
Together's. "" is from a server that gives none."""


def cut_off(finish_reason: str | None) -> str | None:
    """Return why a text is incomplete, for example `length` or `content_filter`, or None if it is whole.

    An unknown reason counts as cut off, because the rest of the text is then unknown too. A row without a
    reason is taken as whole.
    """
    reason = (finish_reason or "").strip().lower()
    return None if reason in WHOLE else reason


def text_cut_off(record: Mapping[str, object]) -> bool:
    """Return whether a record's own text, or one of a pair's two, was cut off when it was generated."""
    reasons = (record.get(name) for name in TEXT_REASONS)
    return any(isinstance(reason, str) and cut_off(reason) is not None for reason in reasons)


def at_token_limit(finish_reason: str | None) -> bool:
    """Return whether a text was cut off because no more tokens were allowed, so that allowing more helps."""
    return cut_off(finish_reason) in TOKEN_LIMIT
