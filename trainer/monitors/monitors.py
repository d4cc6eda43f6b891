"""What tells a model that got better from one that learnt to please its judge: one row of monitors an iteration.

All are computed from an iteration's answers to held-out prompts and the judgments on them. docs/monitors.md has the
formulas.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated

import msgspec

from console.command import off
from console.ranges import Count
from records.finish import cut_off
from records.rows import Judgment, Response, Row, answer_key
from trainer.monitors.diversity import MAX_PAIRS, diversity
from trainer.monitors.refusals import is_refusal

if TYPE_CHECKING:
    from judges.rubrics.rubric import Rubric
    from trainer.monitors.judge_accuracy import Accuracy
    from trainer.monitors.kl import KL


@dataclass(frozen=True)
class MonitorOptions:
    """What is measured beside the scores."""

    labelled: Path | None = None
    """Answers or pairs that people have labelled (the formats of judges.calibrate): each iteration judges them too."""
    labelled_limit: Count = 100
    """Take only so many of them, drawn with --seed."""
    kl: Annotated[bool, off("Do not measure how far each model is from iter0.")] = True
    """Measure how far each model is from iter0: a pass of both over the held-out answers."""
    self_bleu_pairs: Count = MAX_PAIRS
    """Pairs of answers that self-BLEU looks at."""


class Monitors(Row, frozen=True, kw_only=True):
    """One iteration's monitors; None is: not measured, and `reasons` says why."""

    iteration: int
    mean_chars: float | None = None
    """Characters of an answer."""
    mean_tokens: float | None = None
    """Tokens that the model wrote for an answer."""
    mean_score: float | None = None
    """Of the answers, by the judge that makes the pairs."""
    length_score: float | None = None
    """Spearman's correlation of an answer's characters and its score."""
    top_score: float | None = None
    """The share of the scores that are nearer to the rubric's highest verdict than to the next one."""
    inflation: float | None = None
    """Mean score by the model's own judge less that by the frozen judge, on the same answers."""
    inflation_slope: float | None = None
    """How much `inflation` has grown an iteration since iter0."""
    unscored: float | None = None
    """The share of the answers without a score."""
    truncated: float | None = None
    """The share of the answers that were cut off, at the token limit or for another reason."""
    refused: float | None = None
    """The share of the answers that begin like a refusal (refusals.toml)."""
    distinct_1: float | None = None
    """Different words over all words, of all answers together."""
    distinct_2: float | None = None
    """The same for two words in a row."""
    distinct_3: float | None = None
    """The same for three words in a row."""
    self_bleu: float | None = None
    """Mean sentence BLEU, 0 to 1, of one answer against another."""
    repetition: float | None = None
    """Mean share of an answer's 4-grams that it has said before."""
    judge_accuracy: float | None = None
    """Accuracy of the model as a judge on pairs labelled by people, a tie counting half."""
    kl: float | None = None
    """KL to iter0 in nats a token: the mean of log p_t - log p_0 on the model's own answers."""
    kl_error: float | None = None
    """The standard error of `kl`."""
    kl_k3: float | None = None
    """The same KL by the estimator that is never negative."""
    kl_k3_error: float | None = None
    """The standard error of `kl_k3`."""
    n: dict[str, int] = msgspec.field(default_factory=dict)
    """How many answers, pairs or tokens a monitor is computed from."""
    reasons: dict[str, str] = msgspec.field(default_factory=dict)
    """Why a monitor is None."""


MONITORS = tuple(name for name in Monitors.__struct_fields__ if name not in ("iteration", "n", "reasons"))
"""The names of the monitors, as [gates] in a recipe uses them."""


def monitors_of(
    iteration: int,
    responses: Sequence[Response],
    judgments: Sequence[Judgment],
    rubric: "Rubric",
    *,
    frozen: Sequence[Judgment] = (),
    base: Monitors | None = None,
    accuracy: "Accuracy | None" = None,
    kl: "KL | None" = None,
    seed: int = 0,
    self_bleu_pairs: Count = MAX_PAIRS,
) -> Monitors:
    """Return the monitors of one iteration from its held-out answers.

    `judgments` are by the judge that makes the pairs, with `rubric`; `frozen` are by the judge that stays the same for
    the whole run, on the same answers; `base` is iter0's row. What is not given is None and says so.
    """
    found = Found()
    found.add("mean_chars", [float(len(row.response)) for row in responses], "there is no answer")
    tokens = [float(row.n_tokens) for row in responses if row.n_tokens is not None]
    found.add("mean_tokens", tokens, "no answer says how many tokens it has")
    ends = [float(cut_off(row.finish_reason) is not None) for row in responses if row.finish_reason is not None]
    found.add("truncated", ends, "no answer says how it ended")
    found.add("refused", [float(is_refusal(row.response)) for row in responses], "there is no answer")
    _add_scores(found, judgments, rubric)
    _add_inflation(found, iteration, judgments, frozen, base)
    _add_diversity(found, [row.response for row in responses], seed, self_bleu_pairs)
    if accuracy is not None:
        found.put("judge_accuracy", accuracy.value, accuracy.n, "the judge gave no verdict on a labelled pair")
    if kl is not None:
        _add_kl(found, kl)
    for name in MONITORS:
        if name not in found.values:
            found.put(name, None, 0, "not asked for")
    return Monitors(iteration=iteration, **found.values, n=found.n, reasons=found.reasons)


class Found:
    """Monitors as they are found, each with its count or its reason."""

    def __init__(self) -> None:
        self.values: dict[str, float | None] = {}
        self.n: dict[str, int] = {}
        self.reasons: dict[str, str] = {}

    def put(self, name: str, value: float | None, n: int, otherwise: str) -> None:
        """Keep a value, or where there is none the reason `otherwise`."""
        if value is not None and not math.isfinite(value):
            value, otherwise = None, f"it is {value}"
        self.values[name] = value
        if value is None:
            self.reasons[name] = otherwise
        else:
            self.n[name] = n

    def add(self, name: str, numbers: Sequence[float], otherwise: str) -> None:
        """Keep the mean of `numbers`."""
        self.put(name, fmean(numbers) if numbers else None, len(numbers), otherwise)


def _add_scores(found: Found, judgments: Sequence[Judgment], rubric: "Rubric") -> None:
    from judges.panels.agreement import step_of

    scored = [(row.score, len(row.response)) for row in judgments if row.score is not None]
    scores = [score for score, _ in scored]
    nothing = "no answer has a score" if judgments else "the answers were not judged"
    found.add("unscored", [float(row.score is None) for row in judgments], nothing)
    found.add("mean_score", scores, nothing)
    nearly = rubric.scale[1] - step_of(rubric) / 2
    found.add("top_score", [float(score >= nearly) for score in scores], nothing)
    correlation, reason = _spearman([float(chars) for _, chars in scored], scores)
    found.put("length_score", correlation, len(scored), reason)


def _add_inflation(
    found: Found, iteration: int, own: Sequence[Judgment], frozen: Sequence[Judgment], base: Monitors | None
) -> None:
    by_answer = {answer_key(row): row.score for row in frozen if row.score is not None}
    gaps = [
        row.score - by_answer[answer_key(row)] for row in own if row.score is not None and answer_key(row) in by_answer
    ]
    found.add("inflation", gaps, "no answer has a score by both judges" if frozen else "there is no frozen judge")
    now, before = found.values["inflation"], base.inflation if base else None
    slope = (now - before) / iteration if now is not None and before is not None and iteration > 0 else None
    found.put("inflation_slope", slope, len(gaps), "it needs the inflation here and of iter0")


def _add_diversity(found: Found, texts: Sequence[str], seed: int, self_bleu_pairs: int) -> None:
    varied = diversity(texts, seed, self_bleu_pairs)
    for n, share in enumerate(varied.distinct, start=1):
        found.put(f"distinct_{n}", share, len(texts), f"no answer has {n} words")
    found.put("self_bleu", varied.self_bleu, len(texts), "it needs two answers")
    found.put("repetition", varied.repetition, varied.n_repetition, "no answer has four words")


def _add_kl(found: Found, kl: "KL") -> None:
    one = "one answer has no standard error"
    found.put("kl", kl.per_token, kl.n_tokens, "")
    found.put("kl_error", kl.standard_error, kl.n_answers, one)
    found.put("kl_k3", kl.k3, kl.n_tokens, "")
    found.put("kl_k3_error", kl.k3_standard_error, kl.n_answers, one)


def _spearman(first: Sequence[float], second: Sequence[float]) -> tuple[float | None, str]:
    """Return Spearman's correlation, or the reason why there is none."""
    if len(first) < 3:
        return None, f"{len(first)} scored answers are too few for a correlation"
    if len(set(first)) == 1 or len(set(second)) == 1:
        return None, "all lengths or all scores are the same"
    from scipy.stats import spearmanr

    return float(spearmanr(first, second).statistic), ""
