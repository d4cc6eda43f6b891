"""Computes the monitors of an iteration from its answers to held-out prompts and the judgments on them."""

import math
from collections.abc import Sequence
from statistics import fmean

from scipy.stats import spearmanr

from console.ranges import Count
from judges.panels.agreement import step_of
from judges.rubrics.rubric import Rubric
from judges.tools.refusal import is_refusal
from records.finish import cut_off
from records.rows import Judgment, Response, answer_key
from trainer.monitors.diversity import diversity
from trainer.monitors.following import Following
from trainer.monitors.judge_accuracy import JudgeAccuracy
from trainer.monitors.kl import KL
from trainer.monitors.monitors import MAX_PAIRS, MONITORS, Monitors


def monitors_of(
    iteration: int,
    responses: Sequence[Response],
    judgments: Sequence[Judgment],
    rubric: Rubric,
    *,
    frozen: Sequence[Judgment] = (),
    base: Monitors | None = None,
    accuracy: JudgeAccuracy | None = None,
    kl: KL | None = None,
    following: Following | None = None,
    seed: int = 0,
    self_bleu_pairs: Count = MAX_PAIRS,
) -> Monitors:
    """Return the monitors of one iteration from its held-out answers.

    `judgments` are by the judge that makes the pairs, with `rubric`. `frozen` are by the judge that stays the same for
    the whole run, on the same answers. `base` is iter0's row. A monitor without its input is None and has a reason.
    """
    values = MonitorValues()
    values.add("mean_chars", [float(len(response.response)) for response in responses], "there is no answer")
    tokens = [float(response.n_tokens) for response in responses if response.n_tokens is not None]
    values.add("mean_tokens", tokens, "no answer says how many tokens it has")
    ends = [
        float(cut_off(response.finish_reason) is not None)
        for response in responses
        if response.finish_reason is not None
    ]
    values.add("truncated", ends, "no answer says how it ended")
    values.add("refused", [float(is_refusal(response.response)) for response in responses], "there is no answer")
    _add_scores(values, judgments, rubric)
    _add_inflation(values, iteration, judgments, frozen, base)
    _add_diversity(values, [response.response for response in responses], seed, self_bleu_pairs)
    if accuracy is not None:
        values.put("judge_accuracy", accuracy.value, accuracy.n, "the judge gave no verdict on a labelled pair")
    if kl is not None:
        _add_kl(values, kl)
    _add_following(values, following)
    for name in MONITORS:
        if name not in values.values:
            values.put(name, None, 0, "not asked for")
    return Monitors(iteration=iteration, **values.values, n=values.n, reasons=values.reasons)


class MonitorValues:
    """Collects monitors, each with its count or the reason why it is None."""

    def __init__(self) -> None:
        self.values: dict[str, float | None] = {}
        self.n: dict[str, int] = {}
        self.reasons: dict[str, str] = {}

    def put(self, name: str, value: float | None, n: int, otherwise: str) -> None:
        """Store a value, or `otherwise` as the reason if there is none."""
        if value is not None and not math.isfinite(value):
            value, otherwise = None, f"it is {value}"
        self.values[name] = value
        if value is None:
            self.reasons[name] = otherwise
        else:
            self.n[name] = n

    def add(self, name: str, numbers: Sequence[float], otherwise: str) -> None:
        """Store the mean of `numbers`."""
        self.put(name, fmean(numbers) if numbers else None, len(numbers), otherwise)


def _add_scores(values: MonitorValues, judgments: Sequence[Judgment], rubric: Rubric) -> None:
    scored = [(judgment.score, len(judgment.response)) for judgment in judgments if judgment.score is not None]
    scores = [score for score, _ in scored]
    nothing = "no answer has a score" if judgments else "the answers were not judged"
    values.add("unscored", [float(judgment.score is None) for judgment in judgments], nothing)
    values.add("mean_score", scores, nothing)
    # Half a step below the top, because an expected score hardly ever reaches it.
    nearly = rubric.scale[1] - step_of(rubric) / 2
    values.add("top_score", [float(score >= nearly) for score in scores], nothing)
    correlation, reason = _spearman([float(chars) for _, chars in scored], scores)
    values.put("length_score", correlation, len(scored), reason)


def _add_inflation(
    values: MonitorValues,
    iteration: int,
    judgments: Sequence[Judgment],
    frozen: Sequence[Judgment],
    base: Monitors | None,
) -> None:
    by_answer = {answer_key(judgment): judgment.score for judgment in frozen if judgment.score is not None}
    gaps = [
        judgment.score - by_answer[answer_key(judgment)]
        for judgment in judgments
        if judgment.score is not None and answer_key(judgment) in by_answer
    ]
    values.add("inflation", gaps, "no answer has a score by both judges" if frozen else "there is no frozen judge")
    now, before = values.values["inflation"], base.inflation if base else None
    slope = (now - before) / iteration if now is not None and before is not None and iteration > 0 else None
    values.put("inflation_slope", slope, len(gaps), "it needs the inflation of this iteration and of iter0")


def _add_diversity(values: MonitorValues, texts: Sequence[str], seed: int, self_bleu_pairs: int) -> None:
    varied = diversity(texts, seed, self_bleu_pairs)
    for n, share in enumerate(varied.distinct, start=1):
        values.put(f"distinct_{n}", share, len(texts), f"no answer has {n} words")
    values.put("self_bleu", varied.self_bleu, len(texts), "it needs two answers")
    values.put("repetition", varied.repetition, varied.n_repetition, "no answer has four words")


def _add_kl(values: MonitorValues, kl: KL) -> None:
    too_few = "one answer has no standard error"
    values.put("kl", kl.per_token, kl.n_tokens, "")
    values.put("kl_error", kl.standard_error, kl.n_answers, too_few)
    values.put("kl_k3", kl.k3, kl.n_tokens, "")
    values.put("kl_k3_error", kl.k3_standard_error, kl.n_answers, too_few)


def _add_following(values: MonitorValues, following: Following | None) -> None:
    one_kind = "no prompt has an answer that follows everything and another that does not; [eval] n must be above 1"
    reasons = {
        "follows": "no answer could be checked",
        "follows_loose": "no answer could be checked",
        "follows_each": "no constraint could be checked",
        "known_pairs": one_kind,
    }
    for name, reason in reasons.items():
        share = None if following is None else getattr(following, name)
        otherwise = reason if following is not None else "no held-out prompt has constraints"
        values.put(name, share and share.value, share.n if share else 0, otherwise)


def _spearman(first: Sequence[float], second: Sequence[float]) -> tuple[float | None, str]:
    """Return Spearman's correlation, or the reason why there is none."""
    if len(first) < 3:
        return None, f"{len(first)} scored answers are too few for a correlation"
    if len(set(first)) == 1 or len(set(second)) == 1:
        return None, "all lengths or all scores are the same"
    return float(spearmanr(first, second).statistic), ""
