"""The result of an evaluation with Arena-Hard: its folder, arena_hard.json, its tables, and the coverage gate."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from console.output import counted, tell, tell_json
from console.progress import say
from console.table import Cell, print_table
from evals.arena_hard.files.answers import Answers
from evals.arena_hard.options import BENCHMARK, Config
from evals.arena_hard.result import Result
from evals.arena_hard.scoring.official import Score
from evals.arena_hard.scoring.scores import CategoryScores, ModelScores
from evals.folders import results_folder
from judges.intervals.bootstrap import Estimate
from judges.judging.coverage import require_coverage
from judges.judging.win_rate import flip_warning
from records.inputs import output_name
from records.names import folder_name
from records.runs import RUNS
from records.store import write_atomic

FILE = "arena_hard.json"
SHOWN_REASONS = 3


def results_of(config: Config, own: Answers | None) -> Path:
    """Return the folder of the results. The user's own questions or baselines have one each."""
    files = [str(config.questions)] if config.questions else []
    files += [word.rpartition("=")[2] for word in config.baseline]
    name = "-".join([f"{BENCHMARK}-{config.version}", *map(output_name, files)])
    if config.out:
        return config.out
    return RUNS / "evals" / folder_name(own.model) / name if own else results_folder(config.engine, name)


def as_data(result: Result, config: Config) -> dict[str, Any]:
    """Return the result as plain data for JSON. Scores are from 0 to 1."""
    return {
        "judge": result.judge,
        "from": result.source,
        "categories": [_category(scores) for scores in result.categories],
        "n_cut_off": result.n_cut_off,
        "seed": config.seed,
        "resamples": config.resamples,
    }


def write_result(folder: Path, result: Result, config: Config) -> Path:
    """Write arena_hard.json."""
    data = msgspec.json.format(msgspec.json.encode(as_data(result, config)), indent=1) + b"\n"
    write_atomic(folder / FILE, data)
    return folder / FILE


def print_result(result: Result, config: Config) -> None:
    """Print a table for each category, or the data with --json, and the warnings on stderr."""
    for scores in result.categories:
        _warn(scores)
    if config.json:
        tell_json(as_data(result, config) | {"files": [str(path) for path in result.files]})
        return
    for scores in result.categories:
        tell(f"{scores.category}, against {scores.baseline}")
        print_table([_row(scores, model) for model in _ordered(scores.models)])
        tell(*([] if scores.no_style else [_style_line(scores)]), "")
    tell(f"scores of 100, judged by {result.judge}, from {result.source}")
    if result.n_cut_off:
        tell(f"{result.n_cut_off} answers were cut off at --max-new-tokens {config.max_new_tokens}")
    if result.files:
        tell(f"files: {', '.join(map(str, result.files))}")


def check_verdicts(result: Result, min_coverage: float) -> None:
    """Raise JudgeError if a model has too few verdicts in a category. The one with the fewest is named."""
    every = [(scores.category, model) for scores in result.categories for model in scores.models]
    category, fewest = min(every, key=lambda of_model: of_model[1].n_scored / of_model[1].n)
    require_coverage(
        fewest.n_scored,
        fewest.n,
        max(min_coverage, 1 / fewest.n),  # a score needs one verdict at least
        what="prompts have a verdict in both games",
        reasons=Counter(fewest.reasons),
        source=f"{fewest.model} in {category}",
    )


def _ordered(models: Sequence[ModelScores]) -> list[ModelScores]:
    return sorted(models, key=lambda model: -(model.score.value if model.score else -1))


def _row(scores: CategoryScores, model: ModelScores) -> dict[str, Cell]:
    """Return a row of the table of a category."""
    cells: dict[str, Cell] = {
        "model": model.model,
        "judgments": model.n,
        "no verdict": model.n - model.n_scored,
        "flipped": model.n_flipped,
        "score, 90%": _official(model.score),
        "over prompts, 95%": _estimate(model.over_prompts),
    }
    if scores.no_style is None:
        styled = model.styled_over_prompts
        cells["style-controlled, 90%"] = _official(model.styled)
        cells["style-controlled, 95%"] = _estimate(styled.at_mean_style if styled else None)
        cells["at equal style, 95%"] = _estimate(styled.at_equal_style if styled else None)
    return cells


def _style_line(scores: CategoryScores) -> str:
    effects = ", ".join(f"{name} {value:+.2f}" for name, value in scores.coefficients.items())
    return f"style: the log-odds of one deviation more of {effects}; lengths in {scores.unit}"


def _warn(scores: CategoryScores) -> None:
    for model in scores.models:
        title = f"{model.model} against {scores.baseline} in {scores.category}"
        if warning := flip_warning(title, model.n_flipped, model.n_scored):
            say(f"warning: {warning}")
        if model.n_null:
            n_prompts = model.n - model.n_scored
            games, prompts = counted(model.n_null, "games"), counted(n_prompts, "prompts")
            often = ", ".join(f"{why} ({n})" for why, n in Counter(model.reasons).most_common(SHOWN_REASONS))
            left = f"{prompts}, which {'is' if n_prompts == 1 else 'are'} left out of the score"
            say(f"{title}: {games} without a verdict in {left}: {often}")
    if scores.no_style:
        say(f"{scores.category}: no style control: {scores.no_style}")


def _official(score: Score | None) -> str | None:
    if score is None:
        return None
    return f"{100 * score.value:.1f} [{100 * score.low:.1f}, {100 * score.high:.1f}]"


def _estimate(estimate: Estimate | None) -> str | None:
    if estimate is None or estimate.value is None:
        return None
    low, high = estimate.low, estimate.high
    between = "" if low is None or high is None else f" [{100 * low:.1f}, {100 * high:.1f}]"
    return f"{100 * estimate.value:.1f}{between}"


def _category(scores: CategoryScores) -> dict[str, Any]:
    style = {"features": list(scores.features), "length_in": scores.unit, "coefficients": scores.coefficients}
    return {
        "category": scores.category,
        "baseline": scores.baseline,
        "style": None if scores.no_style else style,
        "no_style": scores.no_style,
        "models": [_model(model) for model in scores.models],
    }


def _model(model: ModelScores) -> dict[str, Any]:
    styled = model.styled_over_prompts
    counts = ("model", "n", "n_scored", "n_null", "n_flipped", "verdicts", "reasons")
    return {
        **{name: getattr(model, name) for name in counts},
        "score": model.score and asdict(model.score),
        "over_prompts": _interval(model.over_prompts),
        "style_controlled": model.styled and asdict(model.styled),
        "style_controlled_over_prompts": styled and _interval(styled.at_mean_style),
        "at_equal_style": styled and _interval(styled.at_equal_style),
    }


def _interval(estimate: Estimate) -> dict[str, float | int | None]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high, "n": estimate.n}
