"""ROUGE-L between short texts, and a near-duplicate search among a hundred thousand of them.

The measure is that of the rouge-score package without stemming: F = 2 LCS / (m + n) over tokens of a-z and 0-9 (Lin,
2004, section 3.1). The search is exact: it returns what a comparison with every text would. Only texts that share
enough tokens for their length, counted with repetitions, are compared. That count is never below the LCS.
"""

import re
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from rapidfuzz.distance import LCSseq

TOKEN = re.compile("[a-z0-9]+")
ROUNDING = 1e-9
"""Tolerance for float rounding, so that seven of ten tokens reach a threshold of 0.7."""


@dataclass(frozen=True)
class Match:
    """The most similar text that an index holds."""

    position: int
    """The text's place in the order of adding."""
    score: float
    """ROUGE-L F, 0 to 1."""


def tokens_of(text: str) -> list[str]:
    """Return the tokens that ROUGE compares. Other letters than a-z separate tokens and belong to none."""
    return TOKEN.findall(text.lower())


def rouge_l(first: str, second: str) -> float:
    """Return ROUGE-L F of two texts, 0 to 1. It is 0 if either has no tokens."""
    left, right = tokens_of(first), tokens_of(second)
    return 2 * LCSseq.similarity(left, right) / (len(left) + len(right)) if left and right else 0.0


class RougeIndex:
    """An index that finds a text whose ROUGE-L F with a given one is at least `threshold`, in (0, 1]."""

    def __init__(self, threshold: float, texts: Iterable[str] = ()) -> None:
        self.threshold = threshold
        self._ids: dict[str, int] = {}
        self._sequences: list[list[int]] = []
        self._lengths = array("I")
        # Keys are (token, number of earlier occurrences in the text), values the texts that have them. The number of
        # keys that two texts share is their number of common tokens, counted with repetitions.
        self._holders: dict[tuple[int, int], array[int]] = {}
        for text in texts:
            self.add(text)

    def __len__(self) -> int:
        return len(self._sequences)

    def add(self, text: str) -> None:
        """Add `text` to the index."""
        sequence = [self._ids.setdefault(token, len(self._ids)) for token in tokens_of(text)]
        for key in _numbered(sequence):
            self._holders.setdefault(key, array("I")).append(len(self._sequences))
        self._sequences.append(sequence)
        self._lengths.append(len(sequence))

    def nearest(self, text: str) -> Match | None:
        """Return the most similar text, the first of equals, or None if none reaches the threshold."""
        # An unknown token counts in the length and matches nothing, hence an id that no text has.
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
        keys = _numbered(sequence)
        holders = [np.frombuffer(self._holders[key], np.uint32) for key in keys if key in self._holders]
        if not holders:
            return []
        n_shared = np.bincount(np.concatenate(holders), minlength=len(self))
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
