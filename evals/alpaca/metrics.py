"""AlpacaEval's own metrics, through the alpaca-eval package: the only place that imports it.

Win rate, standard error and counts are those of its `get_winrate`. The length-controlled win rate is that of its
`get_length_controlled_winrate` (Dubois et al., arXiv 2404.04475), a regression that also needs the hub's df_gamed.csv.
"""

import logging
import math
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from console.errors import InputError
from console.progress import say
from evals.alpaca.format import Annotation, alpaca_index
from evals.alpaca.sources import DF_GAMED, HubError, LengthFiles, hub_file
from judges.intervals.proportion import Z, knows_nothing, wilson
from records.store import write_atomic

if TYPE_CHECKING:
    from pandas import DataFrame

GAMED_COLUMNS = {"preference", "index", "std_delta_len", "instruction_difficulty", "not_gamed_baseline", "model"}
SAME_DIFFICULTY = 1e-4
MODE = "community"


@dataclass(frozen=True)
class Metrics:
    """One row of a leaderboard. Rates and errors are in percent, lengths in characters; None is not known."""

    win_rate: float | None
    standard_error: float | None
    n_wins: int
    n_wins_base: int
    n_draws: int
    n_total: int
    """The rows that have a preference; the others are left out of every figure but the average length."""
    discrete_win_rate: float | None
    mode: str
    avg_length: int | None
    length_controlled_winrate: float | None = None
    lc_standard_error: float | None = None


def win_rate_interval(metrics: Metrics) -> tuple[float, float] | None:
    """Return the 95% interval of the win rate in percent: by its standard error, or Wilson's where that says nothing.

    None where there is no win rate. The leaderboard's own figures stay the package's.
    """
    if metrics.win_rate is None:
        return None
    share, error = metrics.win_rate / 100, (metrics.standard_error or 0.0) / 100
    if knows_nothing(share, error * math.sqrt(metrics.n_total)):
        low, high = wilson(share, metrics.n_total)
        return 100 * low, 100 * high
    return 100 * (share - Z * error), 100 * (share + Z * error)


def score(annotations: Sequence[Annotation], files: LengthFiles, near: Sequence[Path]) -> Metrics:
    """Return the leaderboard row of `annotations`; why there is no length-controlled win rate is said on stderr."""
    metrics = win_rates(annotations)
    try:
        return length_controlled(annotations, metrics, files, near)
    except HubError as error:
        _no_length_control(f"{DF_GAMED} is not to be had: {error}; give it with --df-gamed FILE")
    except NotMeasurableError as reason:
        _no_length_control(str(reason))
    return metrics


def win_rates(annotations: Sequence[Annotation]) -> Metrics:
    """Return everything but the length-controlled win rate."""
    lengths = [len(row.output_2) for row in annotations if row.output_2 is not None]
    avg_length = int(sum(lengths) / len(lengths)) if lengths else None
    if all(row.preference is None for row in annotations):
        return Metrics(None, None, 0, 0, 0, 0, None, MODE, avg_length)
    with _package():
        from alpaca_eval import metrics

        found = metrics.get_winrate(_frame(annotations))
    return Metrics(
        win_rate=_number(found["win_rate"]),
        standard_error=_number(found["standard_error"]),
        n_wins=int(found["n_wins"]),
        n_wins_base=int(found["n_wins_base"]),
        n_draws=int(found["n_draws"]),
        n_total=int(found["n_total"]),
        discrete_win_rate=_number(found["discrete_win_rate"]),
        mode=MODE,
        avg_length=avg_length,
    )


def length_controlled(
    annotations: Sequence[Annotation], metrics: Metrics, files: LengthFiles, near: Sequence[Path]
) -> Metrics:
    """Return `metrics` with the length-controlled win rate.

    Instruction difficulties go by row, so rows out of their place get those of other instructions; annotations that
    have an `index`, as this project writes them, are looked up by it. Raises HubError or NotMeasurableError with the
    reason why there is none.
    """
    placed = [(place, row) for place, row in enumerate(annotations) if None not in (row.output_1, row.output_2)]
    if all(row.index is not None for _, row in placed):
        # Sorted, because the folds of the package's cross-validation go by order.
        placed = sorted(((row.index or 0, row) for _, row in placed), key=lambda pair: pair[0])
    places, rows = [place for place, _ in placed], [row for _, row in placed]
    true = [alpaca_index(row.instruction) for row in rows]
    _check_measurable(rows, true)
    files = files.found(near)
    _check_gamed(files)
    rate, error = _fit(rows, places, files)
    say(f"length-controlled with {files.df_gamed}")
    if n_displaced := sum(place != own for place, own in zip(places, true, strict=True)):
        by_instruction, _ = _fit(rows, true, files)
        say(
            f"{n_displaced} of {len(rows)} rows are not where AlpacaEval has their instruction; the package looks "
            f"difficulties up by row, as published; by instruction it would be {by_instruction or math.nan:.2f}"
        )
    _warn_where_far(metrics.win_rate, rate)
    return replace(metrics, length_controlled_winrate=rate, lc_standard_error=error)


def write_leaderboard(path: Path, model: str, metrics: Metrics) -> None:
    """Write leaderboard.csv with one row, in the package's own columns."""
    import pandas

    frame = pandas.DataFrame.from_dict({model: vars(metrics)}, orient="index")
    write_atomic(path, str(frame.to_csv()))


class NotMeasurableError(Exception):
    """Why these annotations can have no length-controlled win rate."""


def _check_measurable(rows: Sequence[Annotation], indices: Sequence[int | None]) -> None:
    if n_other := indices.count(None):
        raise NotMeasurableError(
            f"{n_other} of {len(rows)} instructions are not AlpacaEval's, so of unknown difficulty"
        )
    if sum(row.preference is not None for row in rows) < 2:
        raise NotMeasurableError("fewer than two rows have a preference and both outputs")
    if len({len(row.output_1 or "") - len(row.output_2 or "") for row in rows}) < 2 and _generators_differ(rows):
        raise NotMeasurableError("all pairs of outputs differ by the same length")


def _generators_differ(rows: Sequence[Annotation]) -> bool:
    return any(row.generator_1 != row.generator_2 for row in rows)


def _fit(
    rows: Sequence[Annotation], places: Sequence[int | None], files: LengthFiles
) -> tuple[float | None, float | None]:
    """Return the length-controlled win rate and its standard error, in percent."""
    frame = _frame(rows)
    frame.index = list(places)
    with _package():
        from alpaca_eval.metrics import glm_winrate

        # The package asks the hub by itself; its one download function is stood in for while it computes.
        with patch.object(glm_winrate, "hf_hub_download", lambda **asked: str(_local(asked["filename"], files))):
            try:
                found = glm_winrate.get_length_controlled_winrate(
                    frame, save_weights_dir=None, is_add_glm_preference_inplace=False, is_warn_extreme_changes=False
                )
            except (KeyError, ValueError) as error:
                raise NotMeasurableError(f"the package cannot fit these rows: {_one_line(error)}") from None
    return _number(found["length_controlled_winrate"]), _number(found["lc_standard_error"])


def _warn_where_far(raw: float | None, controlled: float | None) -> None:
    from alpaca_eval.metrics.glm_winrate import get_is_extreme_changes

    if raw is not None and controlled is not None and get_is_extreme_changes(raw, controlled):
        say(
            f"the length-controlled win rate {controlled:.1f} is far from the raw {raw:.1f}: by the package's own rule "
            "a sign that its regression may have failed, as it does on few rows"
        )


def _local(name: str, files: LengthFiles) -> Path:
    return (files.df_gamed if name == DF_GAMED else files.instruction_difficulty) or hub_file(name)


def _check_gamed(files: LengthFiles) -> None:
    gamed = _csv(files.df_gamed)
    if missing := GAMED_COLUMNS - set(gamed.columns):
        raise InputError(f"{files.df_gamed}: not AlpacaEval's {DF_GAMED}: it has no column '{sorted(missing)[0]}'")
    if files.instruction_difficulty is None:
        return
    own = gamed.drop_duplicates("index").set_index("index")["instruction_difficulty"]
    other = _csv(files.instruction_difficulty, index_col=0)
    if "instruction_difficulty" not in other.columns:
        raise InputError(f"{files.instruction_difficulty}: it has no column 'instruction_difficulty'")
    furthest = float((own - other["instruction_difficulty"]).abs().max())
    if furthest > SAME_DIFFICULTY:
        say(f"{files.instruction_difficulty} differs by up to {furthest:.2g} from {files.df_gamed}, which is used")


def _csv(path: Path | None, **how: Any) -> "DataFrame":
    import pandas

    try:
        return pandas.read_csv(path, **how)
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: not a CSV file: {_one_line(error)}") from None


def _frame(annotations: Sequence[Annotation]) -> "DataFrame":
    import pandas

    names = ("instruction", "output_1", "generator_1", "output_2", "generator_2", "annotator", "preference")
    frame = pandas.DataFrame([{name: getattr(row, name) for name in names} for row in annotations])
    return frame.astype({"preference": float})


@contextmanager
def _package() -> Iterator[None]:
    """Keep the package off stdout and put back the settings of logging and scikit-learn that it changes for all."""
    import sklearn

    root = logging.getLogger()
    level = root.level
    with redirect_stdout(sys.stderr), sklearn.config_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # about how the package calls scikit-learn: nothing to do here
        import alpaca_eval  # noqa: F401  # sets the level when it is first loaded

        root.setLevel(logging.WARNING)
        try:
            yield
        finally:
            root.setLevel(level)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120]


def _number(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _no_length_control(reason: str) -> None:
    say(f"no length-controlled win rate: {reason}")
