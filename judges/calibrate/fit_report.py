"""The report of a calibration: agreement with the labels before and after, the latter out of fold."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from console.output import tell, tell_encoded
from console.table import Cell, markdown_table, print_table
from judges.audit.agreement import calibration as calibration_error
from judges.audit.arrays import PairArrays, pair_arrays
from judges.audit.report import interval, number
from judges.intervals.bootstrap import Estimate, Floats, difference, estimate, proportion_of
from judges.intervals.statistics import kappas, tables
from judges.labelled.labels import LabelledPair, Verdict
from judges.rubrics.calibration import Calibration
from judges.rubrics.rubric import Rubric
from records import write_atomic

ACCURACY, KAPPA = "accuracy, a tie is half", "Cohen's kappa"
ALL_CLASSES = "accuracy (a, b, tie)"


@dataclass(frozen=True)
class Change:
    """A measure before and after, and the difference on the same resamples."""

    before: Estimate
    after: Estimate
    change: Estimate | None
    """None if one side has no value, such as an error of probabilities that a judge does not give."""


@dataclass(frozen=True)
class Report:
    """The changes of all measures."""

    n: int
    changes: Sequence[Change]


def report_of(
    pairs: Sequence[LabelledPair], before: Sequence[Verdict], after: Sequence[Verdict], resampling: tuple[int, int]
) -> Report:
    """Return the measures before and after. `resampling` is the number of resamples and the seed."""
    rows = [pair_arrays(pairs, verdicts, *resampling) for verdicts in (before, after)]
    measures = [_shares(ACCURACY, *rows, ties_are_half=True), _kappa(*rows)]
    if rows[0].has_ties:
        measures.append(_shares(ALL_CLASSES, *rows, ties_are_half=False))
    errors = [calibration_error(side)[0] for side in rows]
    measures.append(Change(errors[0], errors[1], None))
    return Report(len(pairs), measures)


def write_report(report: Report, calibration: Calibration, rubric: Rubric, path: Path, *, as_json: bool) -> None:
    """Write the report beside the calibration and print it."""
    data = json.dumps(_as_json(report, calibration, path), ensure_ascii=False, indent=1)
    write_atomic(path.with_name("fit.json"), data)
    weights, changes = _weights(calibration, rubric), changes_table(report)
    parts = [f"# Calibration of {calibration.judge}", *_lines(report, calibration), markdown_table(changes)]
    write_atomic(
        path.with_name("fit.md"), "\n\n".join([*parts, *([markdown_table(weights)] if weights else [])]) + "\n"
    )
    if as_json:
        tell_encoded(data)
        return
    tell(*_lines(report, calibration), "")
    print_table(changes)
    if weights:
        tell()
        print_table(weights)
    tell("", f"{path}: give it to any command that judges, with --calibration; fit.md and fit.json have the figures")


def _lines(report: Report, calibration: Calibration) -> list[str]:
    return [
        f"learned from {calibration.labels}",
        "before: the judge as it is; after: as learned from the prompts of other folds; 95% intervals over prompts",
        f"temperature {calibration.temperature:.4g}; a tie if P(b) is within {calibration.tie:.4g} of 0.5",
    ]


def changes_table(report: Report) -> list[dict[str, Cell]]:
    """Return a row per measure: before, after, and the change."""
    return [
        {
            "measure": change.before.name,
            "before": _with_interval(change.before),
            "after": _with_interval(change.after),
            "change": _with_interval(change.change) if change.change else "-",
        }
        for change in report.changes
        if change.before.value is not None or change.after.value is not None
    ]


def _weights(calibration: Calibration, rubric: Rubric) -> list[dict[str, Cell]]:
    return [
        {
            "criterion": criterion.name,
            "weight": f"{criterion.weight:.3f}",
            "learned": f"{calibration.weights[criterion.name]:.3f}",
        }
        for criterion in rubric.criteria
    ]


def _with_interval(measure: Estimate) -> str:
    return number(measure.value) if measure.low is None else f"{number(measure.value)} {interval(measure)}"


def _as_json(report: Report, calibration: Calibration, path: Path) -> dict[str, Any]:
    learned = {"temperature": calibration.temperature, "tie": calibration.tie, "weights": calibration.weights}
    names = {"calibration": str(path), "judge": calibration.judge, "rubric": calibration.rubric}
    return {
        **names,
        "labels": calibration.labels,
        "pairs": report.n,
        **learned,
        "measures": [asdict(c) for c in report.changes],
    }


def _shares(name: str, before: PairArrays, after: PairArrays, *, ties_are_half: bool) -> Change:
    first_N, second_N = (_right(rows, ties_are_half) for rows in (before, after))
    return Change(
        proportion_of(name, first_N, before.weights),
        proportion_of(name, second_N, before.weights),
        difference(name, second_N, first_N, before.weights),
    )


def _right(rows: PairArrays, ties_are_half: bool) -> Floats:
    same_N: Floats = (rows.judge == rows.human).astype(float)
    if not ties_are_half:
        return same_N
    half_N: Floats = np.where(rows.human == 0, np.nan, np.where(rows.judge == 0, 0.5, same_N))
    return half_N


def _kappa(before: PairArrays, after: PairArrays) -> Change:
    known_N = before.scored & after.scored
    values = [_kappas(rows.only(known_N)) for rows in (before, after)]
    n = int(known_N.sum())
    first, second = (estimate(KAPPA, value[0], value[1:], n) for value in values)
    return Change(first, second, estimate(KAPPA, values[1][0] - values[0][0], values[1][1:] - values[0][1:], n))


def _kappas(rows: PairArrays) -> Floats:
    """Return Cohen's kappa of all rows, and then of each resample."""
    weights_RN = np.vstack([np.ones(len(rows.pairs)), rows.weights])
    truth_N, verdict_N = ((values + 1).astype(int) for values in (rows.human, rows.judge))
    return kappas(tables(truth_N, verdict_N, weights_RN, 3), quadratic=False)
