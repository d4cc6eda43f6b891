"""Measures of a judge's agreement with the labels, each with its interval."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import cohen_kappa_score, precision_recall_fscore_support

from judges.audit.arrays import PairArrays, ScoreArrays
from judges.intervals import statistics
from judges.intervals.bootstrap import Estimate, Floats, estimate, means, proportion_of
from judges.labelled.labels import CODE

Bools = NDArray[np.bool_]
LEFT_OUT, AS_TIES, AS_WRONG = "left out", "counted as ties", "counted as wrong"
MISSING = 3
"""The class of a row without a verdict, beside a, tie and b."""
MAX_CLASSES = 20
"""Kappa is not computed for scales with more steps."""


def pair_measures(rows: PairArrays) -> list[Estimate]:
    """Return the measures of a judge on pairs. Rows without a verdict enter only the rate of unscored rows."""
    decided_N = rows.scored & (rows.human != 0)
    same_N = (rows.judge == rows.human).astype(float)
    half_N = np.where(rows.judge == 0, 0.5, same_N)
    measures = []
    if rows.has_ties:
        measures.append(proportion_of("accuracy (a, b, tie)", _masked(rows.scored, same_N), rows.weights))
    measures += [
        proportion_of("accuracy, a tie is wrong", _masked(decided_N, same_N), rows.weights),
        proportion_of("accuracy, a tie is half", _masked(decided_N, half_N), rows.weights),
        proportion_of("tie rate", _masked(rows.scored, (rows.judge == 0).astype(float)), rows.weights),
        proportion_of("unscored", (~rows.scored).astype(float), rows.weights),
    ]
    if np.isfinite(rows.preference).any():
        side_N = np.sign(rows.preference - 0.5)
        leaning_N = np.where(side_N == 0, 0.5, (side_N == rows.human).astype(float))
        usable_N = decided_N & np.isfinite(rows.preference)
        measures.insert(  # before the tie rate and the rate of unscored rows
            -2, proportion_of("accuracy of the mean preference", _masked(usable_N, leaning_N), rows.weights)
        )
    scored = rows.only(rows.scored)
    if rows.has_ties:
        measures += convention(rows, LEFT_OUT)[1:]  # without accuracy, which stands above
    measures += _kappas(scored.human, scored.judge, scored.weights)
    measures += correlations(scored.human, scored.grade, scored.weights)
    return [*measures, calibration(rows)[0]]


def convention(rows: PairArrays, unscored: str) -> list[Estimate]:
    """Return accuracy and macro precision, recall and F1, with rows without a verdict treated as `unscored` says.

    The classes are a, b and tie if the labels have ties, else a and b.
    """
    if unscored == LEFT_OUT:
        rows = rows.only(rows.scored)
    names = ("accuracy", "macro precision", "macro recall", "macro F1")
    if len(rows.pairs) == 0:
        return [Estimate(name, None, None, None, 0) for name in names]
    truth_N = rows.human.astype(int) + 1  # -1, 0, 1 become the classes 0, 1, 2: a, tie, b
    missing = 1 if unscored == AS_TIES else MISSING
    verdict_N = np.where(rows.scored, np.nan_to_num(rows.judge) + 1, missing).astype(int)
    classes = [0, 1, 2] if rows.has_ties else [0, 2]
    macro = precision_recall_fscore_support(truth_N, verdict_N, labels=classes, average="macro", zero_division=0)[:3]
    resampled_PB = statistics.macro_prf(statistics.tables(truth_N, verdict_N, rows.weights, MISSING + 1), classes)
    same_N = (truth_N == verdict_N).astype(float)
    measures = [proportion_of("accuracy", same_N, rows.weights)]
    for name, value, values_B in zip(names[1:], macro, resampled_PB, strict=True):
        measures.append(estimate(name, value, values_B, len(truth_N)))
    return measures


def confusion(rows: PairArrays) -> dict[str, dict[str, int]]:
    """Return the confusion counts: label, then verdict or `unscored`, then the number of rows."""
    counts: dict[str, dict[str, int]] = {label: dict.fromkeys((*CODE, "unscored"), 0) for label in CODE}
    for pair, verdict in zip(rows.pairs, rows.verdicts, strict=True):
        counts[pair.label][verdict.winner or "unscored"] += 1
    return counts


def calibration(rows: PairArrays) -> tuple[Estimate, list[dict[str, float | int | None]]]:
    """Return the expected calibration error and its ten bins, over the rows whose label is not a tie.

    Confidence is the probability of the preferred answer, from 0.5 to 1, so the names a and b do not matter. At exactly
    0.5 the judge is half right.
    """
    known = rows.only(np.isfinite(rows.preference) & (rows.human != 0))
    n, name = len(known.pairs), "expected calibration error"
    if n == 0:
        note = "the judge gives no probabilities" if rows.scored.any() else ""
        return Estimate(name, None, None, None, 0, note), []
    confidence_N = np.maximum(known.preference, 1 - known.preference)
    side_N = np.sign(known.preference - 0.5)
    right_N = np.where(side_N == 0, 0.5, (side_N == known.human).astype(float))
    value = statistics.calibration_errors(confidence_N, right_N, np.ones((1, n)))[0]
    values_B = statistics.calibration_errors(confidence_N, right_N, known.weights)
    return estimate(name, value, values_B, n), [
        _bin(number, statistics.bins_of(confidence_N) == number, confidence_N, right_N)
        for number in range(statistics.N_BINS)
    ]


def score_measures(rows: ScoreArrays, *, ranks: bool) -> list[Estimate]:
    """Return the measures of a judge on scores. With `ranks`, only the measures within a prompt are meaningful."""
    unscored = proportion_of("unscored answers", (~rows.scored).astype(float), rows.weights)
    within_prompts = [unscored, *_within_prompts(rows)]
    if ranks:
        return within_prompts
    keep_N = rows.scored
    human_N, judge_N, weights_BN = rows.human[keep_N], rows.judge[keep_N], rows.weights[:, keep_N]
    # np.round would take 2.5 to 2 and 3.5 to 4.
    whole_human_N, whole_judge_N = np.floor(human_N + 0.5), np.floor(judge_N + 0.5)
    exact = proportion_of("exact agreement, rounded", (whole_human_N == whole_judge_N).astype(float), weights_BN)
    kappas = _kappas(whole_human_N, whole_judge_N, weights_BN, note="of rounded scores")
    return [*correlations(human_N, judge_N, weights_BN), *within_prompts, exact, *kappas]


def correlations(human_N: Floats, judge_N: Floats, weights_BN: Floats) -> list[Estimate]:
    """Return Spearman's, Kendall's tau-b and Pearson's correlation, with value None if either side is constant."""
    n = len(human_N)
    if n < 3 or np.ptp(human_N) == 0 or np.ptp(judge_N) == 0:
        return [Estimate(name, None, None, None, n) for name in ("Spearman", "Kendall tau-b", "Pearson")]
    return [
        estimate(
            "Spearman",
            float(stats.spearmanr(human_N, judge_N).statistic),
            statistics.spearmans(human_N, judge_N, weights_BN),
            n,
        ),
        estimate(
            "Kendall tau-b",
            float(stats.kendalltau(human_N, judge_N).statistic),
            statistics.kendalls(human_N, judge_N, weights_BN),
            n,
        ),
        estimate(
            "Pearson",
            float(stats.pearsonr(human_N, judge_N).statistic),
            statistics.pearsons(human_N, judge_N, weights_BN),
            n,
        ),
    ]


def _within_prompts(rows: ScoreArrays) -> list[Estimate]:
    """Return the mean over prompts of the rank correlations of the answers to one prompt.

    Prompts on which either side gives all answers one score have no correlation and are skipped.
    """
    values: dict[str, list[float]] = {"Spearman within a prompt": [], "Kendall tau-b within a prompt": []}
    places = []
    for members in rows.groups():
        human, judge = rows.human[members], rows.judge[members]
        if np.ptp(human) == 0 or np.ptp(judge) == 0:
            continue
        places.append(members[0])  # any row of the prompt: whole prompts are drawn, so all have one weight
        for correlations_P, correlation in zip(values.values(), (stats.spearmanr, stats.kendalltau), strict=True):
            correlations_P.append(float(correlation(human, judge).statistic))
    weights_BP = rows.weights[:, places]
    return [
        Estimate(name, None, None, None, 0)
        if not correlations_P
        else estimate(
            name,
            float(np.mean(correlations_P)),
            means(np.array(correlations_P), weights_BP),
            len(correlations_P),
            "n is prompts",
        )
        for name, correlations_P in values.items()
    ]


def _kappas(human_N: Floats, judge_N: Floats, weights_BN: Floats, note: str = "") -> list[Estimate]:
    """Return Cohen's kappa, plain and quadratically weighted, over the whole numbers from the least to the greatest."""
    names, n = {"Cohen's kappa": None, "weighted kappa (quadratic)": "quadratic"}, len(human_N)
    both = np.concatenate([human_N, judge_N])
    if n == 0 or np.ptp(both) == 0 or np.ptp(both) >= MAX_CLASSES:  # with one class, chance agreement is 1
        return [Estimate(name, None, None, None, n, note) for name in names]
    truth_N, verdict_N = ((values_N - both.min()).astype(int) for values_N in (human_N, judge_N))
    classes = range(int(np.ptp(both)) + 1)
    tables_BKK = statistics.tables(truth_N, verdict_N, weights_BN, len(classes))
    return [
        estimate(
            name,
            cohen_kappa_score(truth_N, verdict_N, labels=list(classes), weights=weighting),
            statistics.kappas(tables_BKK, quadratic=bool(weighting)),
            n,
            note,
        )
        for name, weighting in names.items()
    ]


def _bin(number: int, members_N: Bools, confidence_N: Floats, right_N: Floats) -> dict[str, float | int | None]:
    low = 0.5 + 0.5 * number / statistics.N_BINS
    some = bool(members_N.any())
    return {
        "low": low,
        "high": low + 0.5 / statistics.N_BINS,
        "n": int(members_N.sum()),
        "confidence": float(confidence_N[members_N].mean()) if some else None,
        "accuracy": float(right_N[members_N].mean()) if some else None,
    }


def _masked(keep_N: Bools, values_N: Floats) -> Floats:
    masked_N: Floats = np.where(keep_N, values_N, np.nan)
    return masked_N


def equal_share(name: str, first: Sequence[object], second: Sequence[object], weights_BN: Floats) -> Estimate:
    """Return the share of rows on which two runs agree, among the rows that both judged."""
    values = [float("nan") if x is None or y is None else float(x == y) for x, y in zip(first, second, strict=True)]
    return proportion_of(name, np.array(values), weights_BN)
