"""Labelled rows and verdicts as arrays, the input of all measures. Shapes: N rows, B resamples."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from judges.intervals.bootstrap import Floats, resampled
from judges.labelled.labels import CODE, Grade, LabelledPair, LabelledScore, Verdict

NAN = float("nan")


@dataclass(frozen=True)
class PairArrays:
    """Pairs as numbers, each (N,): -1 for a, 0 for a tie, 1 for b, NaN without a verdict."""

    pairs: Sequence[LabelledPair]
    verdicts: Sequence[Verdict]
    human: Floats
    judge: Floats
    grade: Floats
    """The judge's lean to b: its preference minus 0.5, else the difference of its scores, else its verdict."""
    preference: Floats
    """The judge's probability for b, or NaN."""
    longer: Floats
    """Characters of b minus those of a, or NaN if the set has no texts."""
    weights: Floats
    """The count of each row in each resample, (B, N)."""

    @property
    def scored(self) -> NDArray[np.bool_]:
        """Whether the judge has a verdict on the row."""
        return np.isfinite(self.judge)

    @property
    def has_ties(self) -> bool:
        """Whether the labels are of three classes."""
        return bool((self.human == 0).any())

    def only(self, keep_N: NDArray[np.bool_]) -> "PairArrays":
        """Return the rows for which `keep_N` holds."""
        fields = ("human", "judge", "grade", "preference", "longer")
        places = np.flatnonzero(keep_N)
        return replace(
            self,
            pairs=[self.pairs[i] for i in places],
            verdicts=[self.verdicts[i] for i in places],
            weights=self.weights[:, keep_N],
            **{name: getattr(self, name)[keep_N] for name in fields},
        )


@dataclass(frozen=True)
class ScoreArrays:
    """Scores as numbers, each (N,), NaN without a score."""

    items: Sequence[LabelledScore]
    human: Floats
    judge: Floats
    length: Floats
    weights: Floats
    """The count of each row in each resample, (B, N)."""

    @property
    def scored(self) -> NDArray[np.bool_]:
        """Whether the judge has a score for the row."""
        return np.isfinite(self.judge)

    def groups(self) -> list[NDArray[np.intp]]:
        """Return the scored rows of each prompt that has at least two."""
        names_N = np.asarray([item.group for item in self.items], dtype=object).astype(str)
        scored = np.flatnonzero(self.scored)
        # Sorted once and cut where the name changes: a search per prompt takes quadratic time.
        order = scored[np.argsort(names_N[scored], kind="stable")]
        changes = np.flatnonzero(names_N[order][1:] != names_N[order][:-1]) + 1
        edges = [0, *changes.tolist(), len(order)]
        return [order[start:end] for start, end in pairwise(edges) if end - start > 1]


def pair_arrays(pairs: Sequence[LabelledPair], verdicts: Sequence[Verdict], n_resamples: int, seed: int) -> PairArrays:
    """Return pairs and the verdicts on them, in the same order, as arrays."""
    judged = [None if verdict.winner is None else CODE[verdict.winner] for verdict in verdicts]
    texts = [
        len(pair.response_b) - len(pair.response_a) if pair.response_a or pair.response_b else None for pair in pairs
    ]
    return PairArrays(
        pairs,
        verdicts,
        np.array([CODE[pair.label] for pair in pairs], dtype=float),
        _floats(judged),
        _floats([_graded(verdict) for verdict in verdicts]),
        _floats([None if v.winner is None else v.preference_b for v in verdicts]),
        _floats(texts),
        resampled([pair.group for pair in pairs], n_resamples, seed),
    )


def score_arrays(items: Sequence[LabelledScore], grades: Sequence[Grade], n_resamples: int, seed: int) -> ScoreArrays:
    """Return scored answers and the judge's scores for them, in the same order, as arrays."""
    return ScoreArrays(
        items,
        np.array([item.score for item in items], dtype=float),
        _floats([grade.score for grade in grades]),
        _floats([len(item.response) if item.response else None for item in items]),
        resampled([item.group for item in items], n_resamples, seed),
    )


def _graded(verdict: Verdict) -> float | None:
    if verdict.winner is None:
        return None
    if verdict.preference_b is not None:
        return verdict.preference_b - 0.5
    return CODE[verdict.winner] if verdict.margin is None else verdict.margin


def _floats(values: Sequence[float | None]) -> Floats:
    return np.array([NAN if value is None else value for value in values], dtype=float)
