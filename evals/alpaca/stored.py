"""Scores stored annotations again. It loads no engine, whose modules take as long to load as the scores."""

from pathlib import Path

from console.errors import InputError
from console.table import Cell
from evals.alpaca.difficulty import read_others
from evals.alpaca.format import read_annotations
from evals.alpaca.length import length_control, write_length_control
from evals.alpaca.metrics import score, write_leaderboard
from evals.alpaca.options import Config
from evals.alpaca.report import Result, check_preferences, length_files, print_plan, print_result
from evals.alpaca.rows import each_once, say_missing
from records.files import BadRows, check_limit


def score_stored(config: Config, path: Path) -> None:
    """Print the score of stored annotations. Raises JudgeError if too few have a preference. Asks no model."""
    check_limit(config.limit)
    if config.scale.workers:
        raise InputError("--annotations asks no model, so --workers has nothing to do: leave it out")
    result = _result(config, path)
    if result is not None:
        print_result(result, config)
        check_preferences(result, config)


def _result(config: Config, path: Path) -> Result | None:
    """Return the score of stored annotations, or None with --dry-run. Asks no model."""
    bad = BadRows(strict=config.strict)
    whole = each_once(read_annotations(path, bad, config.annotator), path)
    if config.limit is None:
        say_missing(whole, path)
    # after duplicates are gone, so that the first N are N instructions
    annotations = whole[: config.limit]
    others = read_others(config.difficulty_from, bad)
    if config.dry_run:
        plan: dict[str, Cell] = {"annotations": len(annotations), "from": str(path), "calls": 0}
        print_plan({**plan, "leaderboard": str(config.out / "leaderboard.csv") if config.out else None}, config.json)
        return None
    control = length_control(annotations, others)
    metrics = score(annotations, length_files(config), [path])
    if config.out:
        write_length_control(config.out, control)
        write_leaderboard(config.out / "leaderboard.csv", annotations[0].generator_2, metrics)
    return Result(annotations, metrics, control)
