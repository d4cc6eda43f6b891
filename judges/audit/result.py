"""The audit as a whole: measures, biases, baselines and the correction of a win rate."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from console.table import Cell
from judges.audit import agreement
from judges.audit.annotators import annotator_measures
from judges.audit.arrays import PairArrays, ScoreArrays, pair_arrays, score_arrays
from judges.audit.baselines import Baseline, pair_baselines, score_baselines
from judges.audit.bias import Bias, pair_biases, score_biases
from judges.audit.correction import Correction, Wins, corrected_win_rate, halves
from judges.audit.parts import Part, parts
from judges.intervals.bootstrap import Estimate, Floats, mean_of
from judges.labelled.labels import Grade, LabelledSet, Verdict, n_distinct, pairs_within

MASS = "probability on the choices"
EQUAL_VERDICTS = "test-retest: equal verdicts"
SAME_GRADES = "test-retest: {} of the scores"


@dataclass(frozen=True)
class Settings:
    """The settings of an audit's computation."""

    n_resamples: int = 1000
    seed: int = 0
    own_model: str | None = None
    """The name of the judge's own model in the set."""


@dataclass(frozen=True)
class About:
    """The judge and the output folder, in words."""

    judge: str
    read: str
    out: str = ""
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Audit:
    """The numbers of an audit. Every measure has its number of rows and its interval."""

    set: str
    format: str
    labeller: str
    drawn: str
    about: About
    settings: Settings
    n_pairs: int
    n_answers: int
    """The number of scores of answers."""
    n_distinct: int
    """The number of distinct answers. Several people may have scored one."""
    measures: list[Estimate]
    conventions: dict[str, list[Estimate]]
    """Accuracy and macro precision, recall and F1 by the treatment of rows without a verdict."""
    confusion: dict[str, dict[str, int]]
    reliability: list[dict[str, float | int | None]]
    biases: list[Bias]
    baselines: list[Baseline]
    score_baselines: list[Baseline]
    correction: Correction | None
    parts: list[Part]
    unscored: dict[str, int]
    """Rows without a verdict by reason."""
    attacks: list[dict[str, Cell]] = field(default_factory=list)
    """Rates at which answers that address the judge fool its model, one row per family of attacks."""


@dataclass(frozen=True)
class Rerun:
    """The same judge's verdicts with another seed."""

    verdicts: Sequence[Verdict]
    grades: Sequence[Grade]


def audit(
    labelled: LabelledSet,
    verdicts: Sequence[Verdict],
    grades: Sequence[Grade],
    about: About,
    settings: Settings,
    *,
    reruns: Sequence[Rerun] = (),
    likelihoods: Mapping[str, float | None] | None = None,
    test: Wins | None = None,
) -> Audit:
    """Return the audit of a judge. `verdicts` and `grades` are in the order of the set's rows.

    A set of scores is also audited as pairs: every two answers to one prompt. On a set with ranks, a judge that
    compares has no grades.
    """
    pairs = labelled.pairs
    if not pairs:
        within = pairs_within(labelled.scores)
        pairs = tuple(unscored.pair for unscored in within)
        verdicts = [unscored.verdict(grades) for unscored in within]
    rows = pair_arrays(pairs, verdicts, settings.n_resamples, settings.seed)
    scores = score_arrays(labelled.scores if grades else (), grades, settings.n_resamples, settings.seed)
    silent: list[Verdict] | list[Grade] = (
        [grade for grade in grades if grade.score is None]
        if grades and not labelled.pairs
        else [verdict for verdict in verdicts if verdict.winner is None]
    )
    correction = None
    if rows.scored.any():
        calibration_set, test_set = (rows, test) if test else halves(rows, settings.seed)
        correction = corrected_win_rate(calibration_set, test_set)
    return Audit(
        set=labelled.name,
        format=labelled.format,
        labeller=labelled.labeller,
        drawn=labelled.drawn,
        about=about,
        settings=settings,
        n_pairs=len(pairs),
        n_answers=len(scores.items),
        n_distinct=n_distinct(scores.items),
        measures=[
            *_measures(rows, scores, labelled),
            *_mass(rows, scores, grades),
            *_retest(rows, scores, reruns),
        ],
        conventions=_conventions(rows),
        confusion=agreement.confusion(rows),
        reliability=agreement.calibration(rows)[1],
        biases=[
            *(pair_biases(rows, settings.own_model) if pairs else []),
            *(score_biases(scores) if scores.items and not labelled.pairs else []),
        ],
        baselines=pair_baselines(rows, likelihoods),
        score_baselines=score_baselines(scores, likelihoods) if scores.items and not labelled.ranks else [],
        correction=correction,
        parts=parts(rows),
        unscored=dict(Counter(_reason(unscored.error) for unscored in silent).most_common()),
    )


def _measures(rows: PairArrays, scores: ScoreArrays, labelled: LabelledSet) -> list[Estimate]:
    of_pairs = agreement.pair_measures(rows) if rows.pairs else []
    of_scores = agreement.score_measures(scores, ranks=labelled.ranks) if scores.items else []
    if labelled.pairs:
        return [*of_pairs, *of_scores, *annotator_measures(labelled.pairs, rows.weights)]
    accuracies = [
        replace(measure, name=f"pairs of one prompt: {measure.name}")
        for measure in of_pairs
        if measure.name.startswith("accuracy") or measure.name == "tie rate"
    ]
    return [*of_scores, *accuracies, *annotator_measures(labelled.scores, scores.weights)]


def _mass(rows: PairArrays, scores: ScoreArrays, grades: Sequence[Grade]) -> list[Estimate]:
    """Return the mean probability on the choices together, rows without a verdict included."""
    masses = [grade.mass for grade in grades] if grades else [verdict.mass for verdict in rows.verdicts]
    masses_N = np.array([np.nan if mass is None else mass for mass in masses], dtype=float)
    weights_BN = scores.weights if grades else rows.weights
    return [mean_of(MASS, masses_N, weights_BN)] if np.isfinite(masses_N).any() else []


def _reason(error: str | None) -> str:
    """Return the reason for a missing verdict, without the numbers in which rows differ."""
    reason = re.sub(r"\d[\d.]*(e-?\d+)?", "#", error or "no reason given")
    return "; ".join(dict.fromkeys(reason.split("; ")))


def _conventions(rows: PairArrays) -> dict[str, list[Estimate]]:
    treatments = [agreement.LEFT_OUT]
    if rows.scored.any() and not rows.scored.all():
        treatments += [agreement.AS_TIES, agreement.AS_WRONG]
    return {treatment: agreement.convention(rows, treatment) for treatment in treatments} if rows.pairs else {}


def _retest(rows: PairArrays, scores: ScoreArrays, reruns: Sequence[Rerun]) -> list[Estimate]:
    """Return the agreement of the first run with the reruns, all reruns pooled."""
    measures: list[Estimate] = []
    n = len(reruns)
    if n and reruns[0].verdicts:
        rerun_winners = [verdict.winner for rerun in reruns for verdict in rerun.verdicts]
        weights_BN = np.tile(rows.weights, (1, n))  # a row's reruns are drawn with it
        measures.append(
            agreement.equal_share(EQUAL_VERDICTS, [v.winner for v in rows.verdicts] * n, rerun_winners, weights_BN)
        )
        # One resample, because only its grades are used, with the weights of the first run.
        second = pair_arrays(list(rows.pairs) * n, [v for rerun in reruns for v in rerun.verdicts], 1, 0)
        measures += _correlated(np.tile(rows.grade, n), second.grade, weights_BN)
    if n and reruns[0].grades and not reruns[0].verdicts:
        again_N = np.array([g.score for rerun in reruns for g in rerun.grades], dtype=float)
        weights_BN = np.tile(scores.weights, (1, n))
        first = [None if np.isnan(score) else score for score in scores.judge] * n
        second_run = [None if np.isnan(score) else score for score in again_N]
        measures.append(agreement.equal_share("test-retest: equal scores", first, second_run, weights_BN))
        measures += _correlated(np.tile(scores.judge, n), again_N, weights_BN)
    return measures


def _correlated(first_N: Floats, second_N: Floats, weights_BN: Floats) -> list[Estimate]:
    keep_N = np.isfinite(first_N) & np.isfinite(second_N)
    estimates = agreement.correlations(first_N[keep_N], second_N[keep_N], weights_BN[:, keep_N])
    return [
        Estimate(
            SAME_GRADES.format(estimate.name), estimate.value, estimate.low, estimate.high, estimate.n, estimate.note
        )
        for estimate in estimates
        if estimate.name != "Kendall tau-b"
    ]
