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
STEP_BYTES = 1 << 20
"""Small, so that the pieces are soon overwritten: of larger ones the process keeps a hundred megabytes."""
MOST_SPREAD = 4
"""A block with more between its rows than this is not read whole."""
PLAIN = re.compile(r"[A-Za-z0-9 .,:;!?()\[\]{}*+=_^$#@%|~`-]+")
"""ASCII that every writer of JSON leaves as it is in the text."""
UNSURE = re.compile(rb"[\x80-\xff]+|\\u")


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
        likely = _likely(table, part, texts).tolist()
        yield at + len(part), np.array([row for row in likely if _has(table, row, texts)], dtype="i8")
        at += len(part)


def _likely(table: Table, part: np.ndarray, texts: Sequence[Text]) -> np.ndarray:
    """Return the rows that may have the texts. Rows that lie one after the other in a file are looked at as a block."""
    wanted = next((text.wanted for text in texts if not text.without and PLAIN.fullmatch(text.wanted)), None)
    rows = table.rows[part]
    starts, ends = rows["offset"], rows["offset"] + rows["length"]
    is_block = wanted is not None and (rows["source"] == rows["source"][0]).all() and (starts[1:] >= ends[:-1]).all()
    if wanted is None or not is_block or int(ends[-1] - starts[0]) > MOST_SPREAD * int(rows["length"].sum()):
        return part
    try:
        block = table.files[int(rows["source"][0])].line(int(starts[0]), int(ends[-1] - starts[0]))
    except (InputError, IndexError):
        return part
    hits = list(_places(wanted.casefold().encode(), block.lower()))
    # Letters beyond ASCII and escaped ones may fold to the text, so that their rows are looked at one by one.
    if not block.isascii() or b"\\u" in block:
        hits += [match.start() for match in UNSURE.finditer(block)]
    places = np.array(hits, dtype="i8") + starts[0]
    return np.asarray(part[np.unique(np.searchsorted(starts, places, side="right") - 1)])


def _places(wanted: bytes, block: bytes) -> Iterator[int]:
    at = block.find(wanted)
    while at >= 0:
        yield at
        at = block.find(wanted, at + 1)


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
