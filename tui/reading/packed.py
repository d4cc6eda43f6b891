"""A row of the table as 144 bytes: numbers, codes of words, and where its line lies in the file."""

from zlib import adler32, crc32

import numpy as np

from records.rows import text_of
from tui.reading.harness import NOT_STORED
from tui.reading.items import Item, findings_in
from tui.reading.kinds import PAIR

FIELDS: tuple[tuple[str, str], ...] = (
    ("offset", "<i8"),
    ("prompt", "<u8"),  # a digest of the text, which groups the candidates of one prompt
    ("prompt_id", "<u8"),
    ("row_id", "<u8"),
    ("head", "S16"),  # the start of the prompt, for sorting
    ("score_a", "<f8"),
    ("score_b", "<f8"),
    ("margin", "<f8"),
    ("spread", "<f4"),
    ("confidence", "<f4"),
    ("length", "<i4"),
    ("line", "<i4"),
    ("chars_a", "<i4"),
    ("chars_b", "<i4"),
    ("judge", "<i4"),
    ("model_a", "<i4"),
    ("model_b", "<i4"),
    ("rubric", "<i4"),
    ("error", "<i4"),
    ("broken", "<i4"),
    ("followed", "<i4"),
    ("iter", "<i2"),
    ("source", "<i2"),
    ("place", "<i2"),
    ("refuted", "<i2"),
    ("kind", "i1"),
    ("winner", "i1"),
    ("flipped", "i1"),
    ("replaced", "i1"),  # a later row has the same id
)
DTYPE = np.dtype(list(FIELDS))
WORDS = ("judge", "model_a", "model_b", "rubric", "error", "broken", "followed")
"""The fields that hold a code of a word. Code 0 is the empty word."""
NAN = float("nan")
UNKNOWN = -1
"""The length of the first answer in a row whose file does not hold its answers."""
MOST_CHARS = 2**31 - 1


class Words:
    """Every different word of the coded fields, by its code."""

    def __init__(self, words: list[str] | None = None) -> None:
        self.words = words or [""]
        self._codes = {word: code for code, word in enumerate(self.words)}

    def code(self, word: str) -> int:
        """Return the code of a word, a new one for a new word."""
        code = self._codes.get(word)
        if code is None:
            code = self._codes[word] = len(self.words)
            self.words.append(word.encode("utf-8", "replace").decode())  # half a surrogate pair cannot be saved
        return code

    def taken_from(self, other: "Words") -> np.ndarray:
        """Return for each code of `other` the code of the same word here."""
        return np.array([self.code(word) for word in other.words], dtype="<i4")


class Packer:
    """Collects rows in the form of the table."""

    def __init__(self, words: Words, iteration: int = -1) -> None:
        self._words = words
        self._iteration = iteration
        self._rows: list[tuple[object, ...]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, item: Item, offset: int, length: int, line: int, place: int) -> None:
        """Add a row whose line is `length` bytes at `offset`, the `place`-th of those in it."""
        code, text_b = self._words.code, item.text_b
        prompt = item.prompt if isinstance(item.prompt, str) else text_of(item.prompt)
        is_whole = NOT_STORED not in (item.text_a, text_b)
        chars_a = len(item.text_a) if is_whole else UNKNOWN
        found = findings_in(item.evidence)
        score_a, score_b, margin = item.score_a, item.score_b, item.margin
        self._rows.append(
            (
                offset,
                digest(prompt),
                digest(item.prompt_id),
                digest(item.row_id) if item.row_id else 0,
                prompt.lstrip()[:16].casefold().encode("utf-8", "replace")[:16],
                NAN if score_a is None else score_a,
                NAN if score_b is None else score_b,
                NAN if margin is None else margin,
                NAN if item.spread is None else item.spread,
                NAN if item.confidence is None else item.confidence,
                length,
                line,
                chars_a,
                -1 if text_b is None else len(text_b),
                code(item.judge),
                code(item.model_a),
                code(item.model_b),
                code(item.rubric),
                code(item.error),
                code(found.broken),
                code(found.followed),
                self._iteration,
                0,
                place,
                found.n_refuted,
                item.kind,
                item.winner,
                item.flipped,
                0,
            )
        )

    def take(self) -> np.ndarray:
        """Return the rows collected so far, and forget them."""
        rows = np.array(self._rows, dtype=DTYPE)
        self._rows = []
        return rows


def digest(text: str) -> int:
    """Return a 64-bit number that two texts share only if they are the same, or by the rarest chance."""
    data = text.encode("utf-8", "surrogatepass")
    # Two checksums of the standard library: a tenth of the time of a cryptographic digest, which nothing here needs.
    return crc32(data) << 32 | adler32(data)


def mark_replaced(rows: np.ndarray) -> None:
    """Mark each row of ours that a later row of the same file and id replaces. Pairs have no id."""
    ours = np.flatnonzero((rows["row_id"] != 0) & (rows["kind"] != PAIR))
    if not len(ours):
        return
    keys = np.ascontiguousarray(rows["row_id"][ours]) ^ (rows["source"][ours].astype("u8") << np.uint64(1))
    backwards = keys[::-1]
    _, last = np.unique(backwards, return_index=True)
    if len(last) == len(ours):
        return
    replaced = np.ones(len(ours), dtype=bool)
    replaced[len(ours) - 1 - last] = False
    rows["replaced"][ours[replaced]] = 1
