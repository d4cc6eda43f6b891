"""The result of an AlpacaEval: its folder and its printed row."""

from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

from console.output import tell, tell_json
from console.progress import say
from console.table import Cell, print_table
from evals.alpaca.format import Annotation
from evals.alpaca.length import BY_DIFFICULTY, NAME, LengthControl
from evals.alpaca.metrics import Metrics, win_rate_interval
from evals.alpaca.options import BENCHMARK, Config
from evals.alpaca.published import Published, leaderboard, neighbours
from evals.alpaca.rows import completeness, missing
from evals.alpaca.sources import LengthFiles
from evals.comparing.coverage import check_coverage
from evals.folders import results_folder
from judges.judging.win_rate import flip_warning
from records.inputs import output_name

SHOWN_REASONS = 3


@dataclass(frozen=True)
class Result:
    """The annotations of a model and their metrics."""

    annotations: list[Annotation]
    metrics: Metrics
    control: LengthControl
    n_truncated: int | None = None
    """Answers of the model that were cut off, or None if that was not recorded."""
    n_unanswered: int = 0
    """Prompts without a preference for lack of an answer, which the same command asks for again."""
    read: str | None = None
    """How the judge's verdicts were read, or None if they were stored."""


def results_of(config: Config) -> Path:
    """Return the folder of the results. The user's own prompts or baseline have one each, and so has version 1."""
    names = [output_name(path) for path in (config.prompts, config.reference) if path]
    version = [] if names or config.version == 2 else [str(config.version)]
    return config.out or results_folder(config.engine, "-".join([BENCHMARK, *names, *version]))


def print_result(result: Result, config: Config) -> None:
    """Print the leaderboard row, with a warning if the verdicts depend on the order of the answers."""
    first, metrics = result.annotations[0], result.metrics
    unscored = [annotation for annotation in result.annotations if annotation.preference is None]
    control = result.control
    names: dict[str, Cell] = {"model": first.generator_2, "baseline": first.generator_1}
    flips = [annotation.flipped for annotation in result.annotations if annotation.flipped is not None]
    if warning := flip_warning(f"{first.generator_2} against {first.generator_1}", sum(flips), len(flips)):
        say(warning)
    if config.json:
        counts: dict[str, Any] = {"n_unscored": len(unscored), "n_truncated": result.n_truncated}
        counts |= {"interval": win_rate_interval(metrics), "n_flipped": sum(flips), "n_both_orders": len(flips)}
        counts |= {"win_rate_at_equal_lengths": control.win_rate_at_equal_lengths}
        by_difficulty = control.win_rate_at_equal_lengths_and_difficulty
        counts |= {"win_rate_at_equal_lengths_and_difficulty": by_difficulty}
        counts |= {"published": [vars(row) for row in leaderboard(result.annotations)]}
        counts |= {"n_rows": len(result.annotations), "missing": missing(result.annotations)}
        tell_json({**names, "annotator": first.annotator, **vars(metrics), **counts})
        return
    share = 100 * sum(flips) / len(flips) if flips else None
    print_table(
        [
            {
                **names,
                **_cells(metrics),
                **_equal_lengths(control),
                "flipped": share,
                "unscored": len(unscored),
                "cut off": result.n_truncated,
            }
        ]
    )
    _print_published(result)
    for annotation in unscored[:SHOWN_REASONS]:
        say(f"unscored: {shorten(annotation.instruction or '', 60)}: {annotation.error}")
    share_of_set = completeness(result.annotations)
    on = f", on {share_of_set}" if share_of_set else ""
    tell("", f"in percent, judged by {first.annotator}{on}{_files(config)}")


def _equal_lengths(control: LengthControl) -> dict[str, Cell]:
    """Return the win rates at equal lengths, the one by difficulty only if other models gave it."""
    cells: dict[str, Cell] = {NAME: control.win_rate_at_equal_lengths}
    if control.difficulty_from:
        cells[BY_DIFFICULTY] = control.win_rate_at_equal_lengths_and_difficulty
    return cells


def _print_published(result: Result) -> None:
    """Print the published models nearest to this one, if the annotations compare with a leaderboard."""
    first, metrics = result.annotations[0], result.metrics
    if metrics.win_rate is None or not (rows := leaderboard(result.annotations)):
        return
    above, below = neighbours(rows, metrics.win_rate)
    length = metrics.avg_length or 0
    mine = Published(f"> {first.generator_2}", metrics.win_rate, metrics.length_controlled_winrate, length)
    tell("", f"among the {len(rows)} published models of {first.annotator}:")
    print_table(
        [
            {
                "model": row.model,
                "win rate": row.win_rate,
                "length-controlled": row.length_controlled,
                "mean chars": row.avg_length,
            }
            for row in [*above, mine, *below]
        ]
    )


def _cells(metrics: Metrics) -> dict[str, Cell]:
    interval = win_rate_interval(metrics)
    return {
        "win rate": metrics.win_rate,
        "95% interval": interval and f"{interval[0]:.2f} to {interval[1]:.2f}",
        "standard error": metrics.standard_error,
        "length-controlled": metrics.length_controlled_winrate,
        "wins": metrics.n_wins,
        "losses": metrics.n_wins_base,
        "draws": metrics.n_draws,
        "mean chars": metrics.avg_length,
    }


def _files(config: Config) -> str:
    if config.annotations:
        return f"; leaderboard: {config.out / 'leaderboard.csv'}" if config.out else ""
    return f"; results: {results_of(config)}"


def print_plan(plan: dict[str, Cell], as_json: bool) -> None:
    """Print what a command would do."""
    if as_json:
        tell_json(plan)
    else:
        tell(*(f"{name}: {value}" for name, value in plan.items()))


def length_files(config: Config) -> LengthFiles:
    """Return the hub's files that the flags name."""
    return LengthFiles(config.df_gamed, config.instruction_difficulty)


def check_preferences(result: Result, config: Config) -> None:
    """Raise JudgeError if too few prompts have a preference."""
    reasons = [annotation.error or "unknown" for annotation in result.annotations if annotation.preference is None]
    check_coverage(result.metrics.n_total, reasons, result.n_unanswered, config.judge.min_coverage, result.read)
