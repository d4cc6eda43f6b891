"""ROUGE-L between short texts, and a search for a near-duplicate among a hundred thousand of them.

The measure is that of the rouge-score package without stemming: F = 2 LCS / (m + n) over tokens of a-z and 0-9 (Lin,
2004, section 3.1). The search finds what comparing with each text would find. A text is a candidate only where it
shares enough tokens, counted with their repetitions, for its length; that bound is never below the LCS.
"""

import re
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

TOKEN = re.compile("[a-z0-9]+")
ROUNDING = 1e-9
"""Seven of ten tokens are 0.7, whatever the last bit of a float says."""


@dataclass(frozen=True)
class Match:
    """The most similar text that an index holds."""

    position: int
    """In the order in which texts were added."""
    score: float
    """ROUGE-L F, 0 to 1."""


def tokens_of(text: str) -> list[str]:
    """Return the tokens that ROUGE compares; letters beyond a-z part them and are in none."""
    return TOKEN.findall(text.lower())


def rouge_l(first: str, second: str) -> float:
    """Return ROUGE-L F of two texts, 0 to 1; 0 where one has no tokens."""
    from rapidfuzz.distance import LCSseq

    left, right = tokens_of(first), tokens_of(second)
    return 2 * LCSseq.similarity(left, right) / (len(left) + len(right)) if left and right else 0.0


class RougeIndex:
    """Texts among which to find one whose ROUGE-L F with a given text is `threshold`, in (0, 1], or more."""

    def __init__(self, threshold: float, texts: Iterable[str] = ()) -> None:
        self.threshold = threshold
        self._ids: dict[str, int] = {}
        self._sequences: list[list[int]] = []
        self._lengths = array("I")
        # (token, how often it came before in the text) -> the texts that have it: the number of keys that two texts
        # share is how many tokens they have in common, with repetitions.
        self._holders: dict[tuple[int, int], array[int]] = {}
        for text in texts:
            self.add(text)

    def __len__(self) -> int:
        return len(self._sequences)

    def add(self, text: str) -> None:
        """Put `text` in."""
        sequence = [self._ids.setdefault(token, len(self._ids)) for token in tokens_of(text)]
        for key in _numbered(sequence):
            self._holders.setdefault(key, array("I")).append(len(self._sequences))
        self._sequences.append(sequence)
        self._lengths.append(len(sequence))

    def nearest(self, text: str) -> Match | None:
        """Return the most similar text, the first of equals, or None where none reaches the threshold."""
        from rapidfuzz.distance import LCSseq

        # A token that no text here has must still count in the length, and must be unlike all others.
        sequence = [self._ids.get(token, -2) for token in tokens_of(text)]
        best: Match | None = None
        for position, needed in self._candidates(sequence):
            other = self._sequences[position]
            n_common = LCSseq.similarity(sequence, other, score_cutoff=needed)
            score = 2 * n_common / (len(sequence) + len(other))
            if n_common >= needed and (best is None or score > best.score):
                best = Match(position, score)
        return best

    def _candidates(self, sequence: list[int]) -> list[tuple[int, int]]:
        """Return the texts that share enough tokens with `sequence`, each with the LCS that it needs."""
        import numpy as np

        keys = _numbered(sequence)
        found = [np.frombuffer(self._holders[key], np.uint32) for key in keys if key in self._holders]
        if not found:
            return []
        n_shared = np.bincount(np.concatenate(found), minlength=len(self))
        lengths = np.frombuffer(self._lengths, np.uint32)
        needed = np.ceil(self.threshold * (lengths + len(sequence)) / 2 - ROUNDING)
        positions = np.flatnonzero(n_shared >= needed)
        return list(zip(positions.tolist(), needed[positions].astype(int).tolist(), strict=True))


def _numbered(sequence: list[int]) -> list[tuple[int, int]]:
    n_before: Counter[int] = Counter()
    keys = []
    for token in sequence:
        keys.append((token, n_before[token]))
        n_before[token] += 1
    return keys
