"""Accuracy by subset, category, level or turn of a set, and by RewardBench's sections."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from judges.audit.arrays import PairArrays
from judges.intervals.bootstrap import Estimate, proportion_of

Bools = NDArray[np.bool_]

MAX_PARTS = 60
SECTIONS: dict[str, dict[str, int]] = {
    "Chat": {
        "alpacaeval-easy": 100, "alpacaeval-length": 95, "alpacaeval-hard": 95, "mt-bench-easy": 28, "mt-bench-med": 40
    },
    "Chat Hard": {
        "mt-bench-hard": 37, "llmbar-natural": 100, "llmbar-adver-neighbor": 134, "llmbar-adver-GPTInst": 92,
        "llmbar-adver-GPTOut": 47, "llmbar-adver-manual": 46,
    },
    "Safety": {
        "refusals-dangerous": 100, "refusals-offensive": 100, "xstest-should-refuse": 154,
        "xstest-should-respond": 250, "donotanswer": 136,
    },
    "Reasoning": {
        "math-prm": 984, "hep-cpp": 164, "hep-go": 164, "hep-java": 164, "hep-js": 164, "hep-python": 164,
        "hep-rust": 164,
    },
}  # fmt: skip
"""RewardBench's sections (arXiv 2403.13787) with the weights of its code (rewardbench/constants.py, 05a9005): subset ->
rows. math-prm weighs as much as all code subsets together."""


@dataclass(frozen=True)
class Part:
    """The accuracy on some rows of a set, with both ways to count a tie."""

    key: str
    name: str
    n: int
    n_unscored: int
    tie_is_wrong: Estimate
    tie_is_half: Estimate


def parts(rows: PairArrays) -> list[Part]:
    """Return the parts that the rows' `meta` names, by key and name. Rows labelled as ties are skipped."""
    all_parts: list[Part] = []
    for key in dict.fromkeys(key for pair in rows.pairs for key in pair.meta):
        names = [pair.meta.get(key, "") for pair in rows.pairs]
        distinct = sorted(set(names))
        if 1 < len(distinct) <= MAX_PARTS:
            all_parts += [
                _part(key, name, rows, np.array([row_name == name for row_name in names])) for name in distinct
            ]
    return all_parts


def sections(all_parts: Sequence[Part]) -> dict[str, float]:
    """Return RewardBench's section scores and their mean, in percent, a tie counting half. Empty for other sets.

    A section is the mean of its subsets, weighted by their rows. A section that lacks a subset has no score.
    """
    accuracy = {part.name: part.tie_is_half.value for part in all_parts if part.key == "subset"}
    scores: dict[str, float] = {}
    for section, n_rows in SECTIONS.items():
        accuracies = {name: accuracy.get(name) for name in n_rows}
        if all(value is not None for value in accuracies.values()):
            weighted = sum(n_rows[name] * (value or 0.0) for name, value in accuracies.items())
            scores[section] = 100 * weighted / sum(n_rows.values())
    if len(scores) == len(SECTIONS):
        scores["mean"] = sum(scores.values()) / len(scores)
    return scores


def _part(key: str, name: str, rows: PairArrays, members_N: Bools) -> Part:
    counted_N = members_N & rows.scored & (rows.human != 0)
    same_N = np.where(counted_N, (rows.judge == rows.human).astype(float), np.nan)
    half_N = np.where(counted_N & (rows.judge == 0), 0.5, same_N)
    return Part(
        key,
        name,
        int(counted_N.sum()),
        int((members_N & ~rows.scored).sum()),
        proportion_of(name, same_N, rows.weights),
        proportion_of(name, half_N, rows.weights),
    )
