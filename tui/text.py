"""Makes model text safe to show: control characters become visible, long texts are cut and say so. Loads no Textual."""

import math

CELL_CHARS = 60
DETAIL_CHARS = 20_000
REPLACEMENT = "\ufffd"
TAB_CELLS = 4

_BIDI = (0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_C1 = range(0x80, 0xA0)
_NOT_TEXT = (0x2028, 0x2029, *range(0xD800, 0xE000), 0xFFFE, 0xFFFF)
_VISIBLE = {code: chr(0x2400 + code) for code in range(0x20) if code != ord("\n")}
_VISIBLE |= {0x7F: "\u2421"} | dict.fromkeys((*_C1, *_BIDI, *_NOT_TEXT), REPLACEMENT)


def visible(text: str) -> str:
    """Return `text` with tabs as spaces and every other control character but the newline as a printable one."""
    # An escape sequence that reached the terminal could move the cursor or repaint the verdict; a direction override
    # could show one answer's words in the order of another.
    return text.replace("\r\n", "\n").expandtabs(TAB_CELLS).translate(_VISIBLE)


def cell_text(text: str) -> str:
    """Return the start of `text` on one line, at most 60 characters; a cut ends with an ellipsis."""
    start = " ".join(text.lstrip()[: CELL_CHARS * 4].split())
    shown = visible(start)
    return shown if len(shown) <= CELL_CHARS else shown[: CELL_CHARS - 1] + "…"


def detail_text(text: str) -> str:
    """Return `text` to be read whole, cut at 20,000 characters; a cut or an empty text says so in words."""
    if not text.strip():
        return "(empty)" if not text else "(only white space)"
    if len(text) <= DETAIL_CHARS:
        return visible(text)
    return f"{visible(text[:DETAIL_CHARS])}\n\n(cut here: {DETAIL_CHARS:,} of {len(text):,} characters are shown)"


def number_text(value: float | None) -> str:
    """Return a score with two decimals, or a dash where there is none."""
    return "-" if value is None else f"{value:.2f}"


def known_number(value: object) -> float | None:
    """Return `value` as a float where it is a finite number; other people's files also hold text, NaN and null."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
