"""Whether an answer is a refusal: by how it begins, with the patterns of refusals.toml."""

import re
import tomllib
from functools import cache
from pathlib import Path

PATTERNS = Path(__file__).parent / "refusals.toml"
OPENING_CHARS = 200


def is_refusal(answer: str) -> bool:
    """Return whether an answer begins like a refusal, by the patterns of refusals.toml; they know English only."""
    opening = " ".join(answer[: 2 * OPENING_CHARS].replace("’", "'").split())[:OPENING_CHARS]
    return any(pattern.search(opening) for pattern in refusal_patterns())


@cache
def refusal_patterns() -> tuple[re.Pattern[str], ...]:
    """Return the patterns of refusals.toml."""
    rows = tomllib.loads(PATTERNS.read_text(encoding="utf-8"))["pattern"]
    return tuple(re.compile(row["find"], re.IGNORECASE) for row in rows)
