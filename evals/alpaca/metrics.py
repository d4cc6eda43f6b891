"""AlpacaEval's own metrics, computed by the alpaca-eval package.

Win rate, standard error and counts are those of its `get_winrate`. The length-controlled win rate is that of its
`get_length_controlled_winrate` (Dubois et al., arXiv 2404.04475), a regression that also needs the hub's df_gamed.csv.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas

from console.errors import InputError
from console.progress import say
from evals.alpaca.format import Annotation, alpaca_index
from evals.alpaca.package import quietly
from evals.alpaca.sources import DF_GAMED, HubError, LengthFiles, hub_file
from evals.results.official import ALPACA_EVAL_2, BASELINE_OF, has_length_control
from judges.intervals.proportion import Z, knows_nothing, wilson
from records.store import write_atomic

GAMED_COLUMNS = {"preference", "index", "std_delta_len", "instruction_difficulty", "not_gamed_baseline", "model"}
SAME_DIFFICULTY = 1e-4
MODE = "community"
METRICS = ("metrics", "metrics.glm_winrate")


@dataclass(frozen=True)
class Metrics:
    """One row of a leaderboard. Rates and errors are in percent, lengths in characters. None is unknown."""

    win_rate: float | None
    standard_error: float | None
    n_wins: int
    n_wins_base: int
    n_draws: int
    n_total: int
    """The rows with a preference. The others count only for the average length."""
    discrete_win_rate: float | None
    mode: str
    avg_length: int | None
    length_controlled_winrate: float | None = None
    lc_standard_error: float | None = None


def win_rate_interval(metrics: Metrics) -> tuple[float, float] | None:
    """Return the 95% interval of the win rate in percent, or None if there is no win rate.

    It comes from the standard error, or is Wilson's interval if that error is 0 or undefined.
    """
    if metrics.win_rate is None:
        return None
    share, error = metrics.win_rate / 100, (metrics.standard_error or 0.0) / 100
    if knows_nothing(share, error * math.sqrt(metrics.n_total)):  # the deviation of one row, from the error of the mean
        low, high = wilson(share, metrics.n_total)
        return 100 * low, 100 * high
    return 100 * (share - Z * error), 100 * (share + Z * error)


def score(annotations: Sequence[Annotation], files: LengthFiles, near: Sequence[Path]) -> Metrics:
    """Return the leaderboard row of `annotations`. A reason for no length-controlled win rate is printed on stderr."""
    metrics = win_rates(annotations)
    try:
        return length_controlled(annotations, metrics, files, near)
    except HubError as error:
        _no_length_control(f"{DF_GAMED} is not available: {error}; give it with --df-gamed FILE")
    except NotMeasurableError as reason:
        _no_length_control(str(reason))
    return metrics


def win_rates(annotations: Sequence[Annotation]) -> Metrics:
    """Return all metrics except the length-controlled win rate."""
    lengths = [len(annotation.output_2) for annotation in annotations if annotation.output_2 is not None]
    avg_length = int(sum(lengths) / len(lengths)) if lengths else None  # cut off and not rounded, as in alpaca_eval
    if all(annotation.preference is None for annotation in annotations):
        return Metrics(None, None, 0, 0, 0, 0, None, MODE, avg_length)
    with quietly("metrics") as package:
        computed = package.get_winrate(_frame(annotations))
    return Metrics(
        win_rate=_number(computed["win_rate"]),
        standard_error=_number(computed["standard_error"]),
        n_wins=int(computed["n_wins"]),
        n_wins_base=int(computed["n_wins_base"]),
        n_draws=int(computed["n_draws"]),
        n_total=int(computed["n_total"]),
        discrete_win_rate=_number(computed["discrete_win_rate"]),
        mode=MODE,
        avg_length=avg_length,
    )


def length_controlled(
    annotations: Sequence[Annotation], metrics: Metrics, files: LengthFiles, near: Sequence[Path]
) -> Metrics:
    """Return `metrics` with the length-controlled win rate of a leaderboard's annotator and baseline.

    The package looks instruction difficulties up by row, so a row out of place gets another instruction's. Annotations
    with an `index`, as this project writes them, are looked up by it instead. Raises HubError or NotMeasurableError
    with the reason if there is no such win rate.
    """
    _check_official(annotations[0])  # df_gamed.csv has verdicts of its annotators on its baseline
    placed = [
        (place, annotation)
        for place, annotation in enumerate(annotations)
        if None not in (annotation.output_1, annotation.output_2)
    ]
    if all(annotation.index is not None for _, annotation in placed):
        # Sorted, because the folds of the package's cross-validation depend on the order.
        placed = sorted(((annotation.index or 0, annotation) for _, annotation in placed), key=lambda pair: pair[0])
    places, rows = [place for place, _ in placed], [annotation for _, annotation in placed]
    true_places = [alpaca_index(annotation.instruction) for annotation in rows]
    _check_measurable(rows, true_places)
    files = files.located(near)  # after the cheap checks, because it may download
    _check_gamed(files)
    rate, error = _fit(rows, places, files)
    say(f"length-controlled with {files.df_gamed}")
    if n_displaced := sum(place != true for place, true in zip(places, true_places, strict=True)):
        by_instruction, _ = _fit(rows, true_places, files)
        say(
            f"{n_displaced} of {len(rows)} rows are not where AlpacaEval has their instruction; the package looks "
            f"difficulties up by row, as published; by instruction it would be {by_instruction or math.nan:.2f}"
        )
    _warn_if_far(metrics.win_rate, rate)
    return replace(metrics, length_controlled_winrate=rate, lc_standard_error=error)


def write_leaderboard(path: Path, model: str, metrics: Metrics) -> None:
    """Write leaderboard.csv with one row, in the package's own columns."""
    frame = pandas.DataFrame.from_dict({model: vars(metrics)}, orient="index")
    write_atomic(path, str(frame.to_csv()))


class NotMeasurableError(Exception):
    """The annotations can have no length-controlled win rate. The message is the reason."""


def _check_official(first: Annotation) -> None:
    """Raise NotMeasurableError unless the numbers of its annotator and baseline are those of a leaderboard."""
    if not has_length_control(first.annotator, first.generator_1):
        raise NotMeasurableError(
            f"it is AlpacaEval's own, by {ALPACA_EVAL_2} against {BASELINE_OF[ALPACA_EVAL_2]}, and not by "
            f"{first.annotator} against {first.generator_1}; the win rate at equal lengths is for any judge"
        )


def _check_measurable(rows: Sequence[Annotation], indices: Sequence[int | None]) -> None:
    if n_other := indices.count(None):
        raise NotMeasurableError(
            f"{n_other} of {len(rows)} instructions are not AlpacaEval's, so of unknown difficulty"
        )
    if sum(annotation.preference is not None for annotation in rows) < 2:
        raise NotMeasurableError("fewer than two rows have a preference and both outputs")
    if len(
        {len(annotation.output_1 or "") - len(annotation.output_2 or "") for annotation in rows}
    ) < 2 and _generators_differ(rows):
        raise NotMeasurableError("all pairs of outputs differ by the same length")


def _has_both_outputs(annotation: Annotation) -> bool:
    return annotation.output_1 is not None and annotation.output_2 is not None


def _generators_differ(rows: Sequence[Annotation]) -> bool:
    return any(annotation.generator_1 != annotation.generator_2 for annotation in rows)


def _fit(
    rows: Sequence[Annotation], places: Sequence[int | None], files: LengthFiles
) -> tuple[float | None, float | None]:
    """Return the length-controlled win rate and its standard error, in percent."""
    frame = _frame(rows)
    frame.index = list(places)  # the package looks the difficulties up by this index
    with quietly(*METRICS) as glm_winrate, _downloads_from(glm_winrate, files):
        try:
            fitted = glm_winrate.get_length_controlled_winrate(
                frame, save_weights_dir=None, is_add_glm_preference_inplace=False, is_warn_extreme_changes=False
            )
        except (KeyError, ValueError) as error:
            raise NotMeasurableError(f"the package cannot fit these rows: {_one_line(error)}") from None
    return _number(fitted["length_controlled_winrate"]), _number(fitted["lc_standard_error"])


def _warn_if_far(raw: float | None, controlled: float | None) -> None:
    if raw is None or controlled is None:
        return
    with quietly(*METRICS) as glm_winrate:
        is_far = glm_winrate.get_is_extreme_changes(raw, controlled)
    if is_far:
        say(
            f"the length-controlled win rate {controlled:.1f} is far from the raw {raw:.1f}, which by the package's "
            "own rule is a sign that its regression may have failed, as it does on few rows"
        )


def _local(name: str, files: LengthFiles) -> Path:
    return (files.df_gamed if name == DF_GAMED else files.instruction_difficulty) or hub_file(name)


def _check_gamed(files: LengthFiles) -> None:
    gamed = _csv(files.df_gamed)
    if missing := GAMED_COLUMNS - set(gamed.columns):
        raise InputError(f"{files.df_gamed}: not AlpacaEval's {DF_GAMED}: it has no column '{sorted(missing)[0]}'")
    if files.instruction_difficulty is None:
        return
    difficulty = gamed.drop_duplicates("index").set_index("index")["instruction_difficulty"]
    other = _csv(files.instruction_difficulty, index_col=0)
    if "instruction_difficulty" not in other.columns:
        raise InputError(f"{files.instruction_difficulty}: it has no column 'instruction_difficulty'")
    furthest = float((difficulty - other["instruction_difficulty"]).abs().max())
    if furthest > SAME_DIFFICULTY:
        say(f"{files.instruction_difficulty} differs by up to {furthest:.2g} from {files.df_gamed}, which is used")


def _csv(path: Path | None, **settings: Any) -> pandas.DataFrame:
    try:
        return pandas.read_csv(path, **settings)
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: not a CSV file: {_one_line(error)}") from None


def _frame(annotations: Sequence[Annotation]) -> pandas.DataFrame:
    names = ("instruction", "output_1", "generator_1", "output_2", "generator_2", "annotator", "preference")
    frame = pandas.DataFrame([{name: getattr(annotation, name) for name in names} for annotation in annotations])
    return frame.astype({"preference": float})  # a column of None would be of objects


@contextmanager
def _downloads_from(glm_winrate: ModuleType, files: LengthFiles) -> Iterator[None]:
    """Replace the package's one function that downloads from the hub, because it has no parameter for local files."""
    download = glm_winrate.hf_hub_download
    glm_winrate.hf_hub_download = lambda **call: str(_local(call["filename"], files))  # type: ignore[attr-defined]
    try:
        yield
    finally:
        glm_winrate.hf_hub_download = download  # type: ignore[attr-defined]


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120]


def _number(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _no_length_control(reason: str) -> None:
    say(f"no length-controlled win rate: {reason}")
