"""The monitors of an iteration as a row, and their settings.

They tell a better model from one that has learnt to please its judge. docs/monitors.md has the formulas.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from console.command import off
from console.ranges import Count
from records.rows import Row

MAX_PAIRS = 1000
"""Pairs of answers that self-BLEU compares. If there are more, this many are drawn at random."""


@dataclass(frozen=True)
class MonitorOptions:
    """The measurements beside the scores."""

    labelled: Path | None = None
    """Answers or pairs labelled by people, in the formats of judges.calibrate. Each iteration judges them too."""
    labelled_limit: Count = 100
    """Use only this many of them, drawn with --seed."""
    kl: Annotated[bool, off("Do not measure how far each model is from iter0.")] = True
    """Measure how far each model is from iter0: both models read the held-out answers once."""
    self_bleu_pairs: Count = MAX_PAIRS
    """Pairs of answers that self-BLEU compares."""


class Monitors(Row, frozen=True, kw_only=True):
    """The monitors of one iteration. None means not measured, and `reasons` says why."""

    iteration: int
    mean_chars: float | None = None
    """Characters per answer."""
    mean_tokens: float | None = None
    """Tokens that the model generated per answer."""
    mean_score: float | None = None
    """Mean score of the answers by the judge that makes the pairs."""
    length_score: float | None = None
    """Spearman's correlation between an answer's characters and its score."""
    top_score: float | None = None
    """The share of scores that are nearer to the rubric's highest verdict than to the next one."""
    inflation: float | None = None
    """Mean score by the judge that makes the pairs minus that by the frozen judge, on the same answers."""
    inflation_slope: float | None = None
    """Growth of `inflation` per iteration since iter0."""
    unscored: float | None = None
    """The share of answers without a score."""
    truncated: float | None = None
    """The share of answers that were cut off, at the token limit or for another reason."""
    refused: float | None = None
    """The share of answers that open like a refusal (refusals.toml)."""
    distinct_1: float | None = None
    """Distinct words over all words, of all answers together."""
    distinct_2: float | None = None
    """Distinct bigrams over all bigrams."""
    distinct_3: float | None = None
    """Distinct trigrams over all trigrams."""
    self_bleu: float | None = None
    """Mean sentence BLEU, 0 to 1, of one answer against another."""
    repetition: float | None = None
    """Mean share of an answer's 4-grams that occur earlier in it."""
    judge_accuracy: float | None = None
    """Accuracy of the iteration's own model as a judge on pairs labelled by people. A tie counts half."""
    follows: float | None = None
    """The share of answers that follow all constraints of their prompt."""
    follows_loose: float | None = None
    """The same, if the best of an answer's eight loose variants counts."""
    follows_each: float | None = None
    """The share of single constraints that are followed."""
    known_pairs: float | None = None
    """Accuracy of the judge that makes the pairs, on pairs of the model's answers of which one follows all constraints
    and the other breaks some. A tie counts half."""
    kl: float | None = None
    """KL to iter0 in nats per token: the mean of log p_t - log p_0 on the model's own answers."""
    kl_error: float | None = None
    """The standard error of `kl`."""
    kl_k3: float | None = None
    """The same KL by the estimator that is never negative."""
    kl_k3_error: float | None = None
    """The standard error of `kl_k3`."""
    n: dict[str, int] = msgspec.field(default_factory=dict)
    """The number of answers, pairs or tokens behind each monitor."""
    reasons: dict[str, str] = msgspec.field(default_factory=dict)
    """Why a monitor is None."""


MONITORS = tuple(name for name in Monitors.__struct_fields__ if name not in ("iteration", "n", "reasons"))
"""The names of the monitors, as used in a recipe's [gates]."""
