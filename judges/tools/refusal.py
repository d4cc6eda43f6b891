"""Recognises refusals by their opening, with the patterns of refusals.toml."""

import re
import tomllib
from functools import cache
from pathlib import Path

PATTERNS = Path(__file__).parent / "refusals.toml"
OPENING_CHARS = 200


def is_refusal(answer: str) -> bool:
    """Return whether an answer opens like a refusal. The patterns of refusals.toml cover English only."""
    # Twice as many characters, because runs of white space become one space.
    opening = " ".join(answer[: 2 * OPENING_CHARS].replace("’", "'").split())[:OPENING_CHARS]
    return any(pattern.search(opening) for pattern in refusal_patterns())


@cache
def refusal_patterns() -> tuple[re.Pattern[str], ...]:
    """Return the compiled patterns of refusals.toml."""
    rows = tomllib.loads(PATTERNS.read_text(encoding="utf-8"))["pattern"]
    return tuple(re.compile(pattern["find"], re.IGNORECASE) for pattern in rows)
