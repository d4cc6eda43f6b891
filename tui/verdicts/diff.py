"""The words in which two texts differ, as places in each text."""

import re
from difflib import SequenceMatcher

WORD = re.compile(r"\s+|\w+|[^\w\s]")
MOST_WORDS = 4_000
"""The time grows with the square of the words. Beyond, the texts are compared line by line."""
Places = list[tuple[int, int]]


def differing(first: str, second: str) -> tuple[Places, Places]:
    """Return the places in `first` that are not in `second`, and the places in `second` that are not in `first`."""
    words = [WORD.findall(text) for text in (first, second)]
    if max(map(len, words)) > MOST_WORDS:
        words = [text.splitlines(keepends=True)[:MOST_WORDS] for text in (first, second)]
    starts = [_starts(parts) for parts in words]
    places: tuple[Places, Places] = ([], [])
    for kind, i1, i2, j1, j2 in SequenceMatcher(None, words[0], words[1], autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        for side, (low, high) in enumerate(((i1, i2), (j1, j2))):
            if high > low and "".join(words[side][low:high]).strip():
                places[side].append((starts[side][low], starts[side][high]))
    return places


def _starts(parts: list[str]) -> list[int]:
    starts = [0]
    for part in parts:
        starts.append(starts[-1] + len(part))
    return starts
