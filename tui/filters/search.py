"""Looks for texts in the bodies of rows, a piece of the file at a time, so that hits are shown as they come."""

import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from console.errors import InputError
from records.rows import text_of
from tui.filters.language import Text
from tui.reading.items import Item, items_of
from tui.reading.table import Table

STEP_ROWS = 2_000
STEP_BYTES = 16 << 20
PLAIN = re.compile(r"[A-Za-z0-9 .,:;!?()\[\]{}*+=_^$#@%|~`-]+")
"""ASCII that every writer of JSON leaves as it is in the text."""


def search(
    table: Table, order: np.ndarray, texts: Sequence[Text], stopped: Callable[[], bool] = lambda: False
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield after each step the number of rows that were looked at, and those of them that have the texts.

    `order` are the rows to look at, in their order. A row that can no longer be read has no text.
    """
    at = 0
    while at < len(order) and not stopped():
        part = order[at : at + STEP_ROWS]
        sizes = np.cumsum(table.rows["length"][part], dtype="i8")
        part = part[: max(1, int(np.searchsorted(sizes, STEP_BYTES)))]
        yield at + len(part), np.array([row for row in part.tolist() if _has(table, row, texts)], dtype="i8")
        at += len(part)


def _has(table: Table, row: int, texts: Sequence[Text]) -> bool:
    packed = table.rows[row]
    try:
        line = table.files[int(packed["source"])].line(int(packed["offset"]), int(packed["length"]))
        if not all(_may_have(line, text) for text in texts):
            return False
        return matches(items_of(line, table.codes)[int(packed["place"])], texts)
    except (InputError, IndexError):
        return False


def _may_have(line: bytes, text: Text) -> bool:
    """Return False if a line of JSON cannot have the text, which is a hundred times faster than to decode it."""
    if text.without or PLAIN.fullmatch(text.wanted) is None:
        return True
    wanted = text.wanted.casefold().encode()
    # Letters beyond ASCII may fold to it, as ß does to ss, and a JSON text may escape any letter.
    return wanted in line.lower() or b"\\u" in line or not line.isascii()


def matches(item: Item, texts: Sequence[Text]) -> bool:
    """Return whether the prompt or the answers have each text, whatever its case, and none of the unwanted ones."""
    shown = [text_of(item.prompt).casefold(), item.text_a.casefold(), (item.text_b or "").casefold()]
    return all(any(text.wanted.casefold() in part for part in shown) != text.without for text in texts)


def places_of(words: Sequence[str], shown: str) -> list[tuple[int, int]]:
    """Return the start and the end of each hit in a text, to mark it. Letters that change length by case are exact."""
    folded = shown.casefold()
    if len(folded) != len(shown):
        folded = shown
    places = []
    for word in words:
        at = folded.find(word.casefold())
        while word and at >= 0:
            places.append((at, at + len(word)))
            at = folded.find(word.casefold(), at + len(word))
    return sorted(places)
