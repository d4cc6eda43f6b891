"""Prepares model text for the screen: cuts it and makes control characters visible. Loads no Textual."""

import math

from console.visible import one_line, visible

CELL_CHARS = 60
DETAIL_CHARS = 20_000


def cell_text(text: str) -> str:
    """Return the start of `text` on one line, at most 60 characters. A cut ends with an ellipsis."""
    # four times as much, because white space shrinks; not the whole text, which may be megabytes
    start = " ".join(text.lstrip()[: CELL_CHARS * 4].split())
    shown = one_line(start)
    return shown if len(shown) <= CELL_CHARS else shown[: CELL_CHARS - 1] + "…"


def detail_text(text: str) -> str:
    """Return `text` for reading, cut at 20,000 characters. A cut or an empty text is marked in words."""
    if not text.strip():
        return "(empty)" if not text else "(only white space)"
    if len(text) <= DETAIL_CHARS:
        return visible(text)
    return f"{visible(text[:DETAIL_CHARS])}\n\n(cut here: {DETAIL_CHARS:,} of {len(text):,} characters are shown)"


def number_text(value: float | None) -> str:
    """Return a score with two decimals, or a dash if there is none."""
    return "-" if value is None else f"{value:.2f}"


def known_number(value: object) -> float | None:
    """Return `value` as a float if it is a finite number, because other people's files also hold text, NaN and null."""
    if isinstance(value, bool) or not isinstance(value, int | float):  # True is an int in Python
        return None
    return float(value) if math.isfinite(value) else None
