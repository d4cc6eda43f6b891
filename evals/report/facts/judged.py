"""Counts the judgments of an iteration as they are read: scores, lengths, reasons for no score, and what they cost."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from console.errors import InputError
from console.reading import lines_up_to
from evals.report.facts.shapes import Scored
from records.rows import Usage
from records.store import opened

RowT = TypeVar("RowT")
REASON_CHARS = 80


@dataclass
class JudgedFacts:
    """The judgments that an iteration was made from."""

    scores: NDArray[np.float64]
    chars: NDArray[np.float64]
    """Characters of the answers with a score, in the same order."""
    n: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    """Why the others have none."""
    usage: Usage = field(default_factory=Usage)

    @property
    def correlation(self) -> float | None:
        """Return Spearman's correlation of length and score, or None if either does not vary."""
        if len(self.scores) < 3 or np.ptp(self.scores) == 0 or np.ptp(self.chars) == 0:
            return None
        return float(spearmanr(self.chars, self.scores).statistic)


def judged_in(path: Path, problems: list[str]) -> JudgedFacts | None:
    """Return the judgments in `path`, or None if there is no such file. Lines that are none are counted as problems."""
    if not path.is_file():
        return None
    scores, chars, reasons, usage, n = [], [], Counter[str](), Usage(), 0
    for row in rows_in(path, Scored, problems):
        n += 1
        usage += row.usage
        if row.score is None:
            reasons[(row.error or "no reason given")[:REASON_CHARS]] += 1
        else:
            scores.append(row.score)
            chars.append(float(len(row.response)))
    return JudgedFacts(np.array(scores), np.array(chars), n, reasons, usage)


def rows_in(path: Path, row_type: type[RowT], problems: list[str]) -> Iterator[RowT]:
    """Yield the rows of a JSONL file. Lines that are no such rows, as a torn last one, are left out and counted."""
    decoder, n_bad, first = msgspec.json.Decoder(row_type), 0, ""
    try:
        with opened(path) as file:
            for number, line in enumerate(lines_up_to(file, path), start=1):
                try:
                    yield decoder.decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                    n_bad, first = n_bad + 1, first or f"line {number}: {error}"
    except InputError as error:
        problems.append(str(error))
    if n_bad:
        problems.append(f"{path}: {n_bad} {'line' if n_bad == 1 else 'lines'} left out, the first {first}")
