"""The result of MT-Bench or Vicuna-80: its folder, mt_bench.json, its tables, and the coverage gate."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from console.output import counted, tell, tell_json
from console.progress import say
from console.table import Cell, print_table
from evals.folders import results_folder
from evals.mt_bench.files.questions import Answers
from evals.mt_bench.options import Config
from evals.mt_bench.scoring.pairs import PairScores
from evals.mt_bench.scoring.scores import ModelScores
from judges.intervals.bootstrap import Estimate
from judges.judging.coverage import require_coverage
from judges.judging.win_rate import flip_warning
from records.inputs import output_name
from records.names import folder_name
from records.runs import RUNS
from records.store import write_atomic

SHOWN_REASONS = 3
MOST_MODELS = 6
"""Models beside each other in the table of categories."""


@dataclass(frozen=True)
class Result:
    """The scores of each model, or its wins over others, and their origin."""

    judge: str
    source: str
    """The questions or the judgments, in words."""
    scores: list[ModelScores]
    pairs: list[PairScores]
    n_cut_off: int | None = None
    """Turns of the model that were cut off, or None if that was not recorded."""
    files: list[Path] = field(default_factory=list)

    @property
    def every(self) -> list[ModelScores | PairScores]:
        """The figures of all models."""
        return [*self.scores, *self.pairs]


def results_of(config: Config, own: Answers | None) -> Path:
    """Return the folder of the results. The user's own questions have one each, and so has each baseline."""
    names = [output_name(path) for path in (config.questions, config.baseline) if path]
    name = "-".join([config.bench, *names])
    if config.out:
        return config.out
    return RUNS / "evals" / folder_name(own.model) / name if own else results_folder(config.engine, name)


def as_data(result: Result, config: Config) -> dict[str, Any]:
    """Return the result as plain data for JSON. Scores are from 1 to 10, win rates from 0 to 1."""
    return {
        "judge": result.judge,
        "from": result.source,
        "bench": config.bench,
        "models": [_plain(asdict(scores)) for scores in result.every],
        "n_cut_off": result.n_cut_off,
        "seed": config.seed,
        "resamples": config.resamples,
    }


def write_result(folder: Path, result: Result, config: Config) -> Path:
    """Write mt_bench.json, or vicuna_bench.json, and with pairs mt_bench_pair.json."""
    path = folder / f"{config.bench}{'_pair' if result.pairs else ''}.json"
    write_atomic(path, msgspec.json.format(msgspec.json.encode(as_data(result, config)), indent=1) + b"\n")
    return path


def print_plan(plan: Mapping[str, Any], config: Config) -> None:
    """Print what would be done, as text or JSON."""
    if config.json:
        tell_json(dict(plan))
    else:
        tell(*(f"{name.replace('_', ' ')}: {value}" for name, value in plan.items() if value is not None))


def print_result(result: Result, config: Config) -> None:
    """Print the tables, or the data with --json, and the warnings on stderr."""
    for scores in result.every:
        _warn(scores)
    if config.json:
        tell_json(as_data(result, config) | {"files": [str(path) for path in result.files]})
        return
    if result.scores:
        print_table([_score_row(scores) for scores in result.scores])
        if len(result.scores) > MOST_MODELS:
            say(f"only the {MOST_MODELS} best of {len(result.scores)} models are shown by category; the JSON has all")
        if categories := _category_rows(result.scores[:MOST_MODELS]):
            tell()
            print_table(categories)
    if result.pairs:
        print_table([_pair_row(scores) for scores in result.pairs])
    tell("", f"judged by {result.judge}, from {result.source}; 95% intervals over questions")
    if result.n_cut_off:
        tell(f"{counted(result.n_cut_off, 'turns')} cut off at --max-new-tokens {config.max_new_tokens}")
    if result.files:
        tell(f"files: {', '.join(map(str, result.files))}")


def check_verdicts(result: Result, min_coverage: float) -> None:
    """Raise JudgeError if a model has too few verdicts. The one with the fewest is named."""
    fewest = min(result.every, key=lambda scores: scores.n_scored / scores.n)
    require_coverage(
        fewest.n_scored,
        fewest.n,
        max(min_coverage, 1 / fewest.n),  # a mean needs one verdict at least
        reasons=Counter(fewest.reasons),
        source=fewest.model,
    )


def _score_row(scores: ModelScores) -> dict[str, Cell]:
    turns = {f"turn {turn}": _text(estimate) for turn, estimate in scores.by_turn.items()}
    average = {"average": _text(scores.average)} if len(turns) > 1 else {}
    return {"model": scores.model, **turns, **average, "answers": scores.n, "no score": scores.n - scores.n_scored}


def _category_rows(models: list[ModelScores]) -> list[dict[str, Cell]]:
    """Return a row for each of several categories: both turns of the only model, or the means of several models."""
    names = dict.fromkeys(name for scores in models for name in scores.by_category)
    if len(names) < 2:
        return []
    rows: list[dict[str, Cell]] = []
    for name in names:
        cells: dict[str, Cell] = {"category": name}
        if len(models) == 1:
            (scores,) = models
            turns = scores.by_category_and_turn[name]
            cells |= {f"turn {turn}": _text(estimate) for turn, estimate in turns.items()}
            cells |= {"average": _text(scores.by_category[name])} if len(turns) > 1 else {}
        else:
            cells |= {scores.model: _text(scores.by_category.get(name)) for scores in models}
        rows.append(cells)
    return rows


def _pair_row(scores: PairScores) -> dict[str, Cell]:
    return {
        "model": scores.model,
        "wins": scores.wins,
        "losses": scores.losses,
        "ties": scores.ties,
        "of them flipped": scores.n_flipped,
        "no verdict": scores.n - scores.n_scored,
        "win rate, %": _text(scores.win_rate, 100),
        **{f"turn {turn}, %": _text(estimate, 100) for turn, estimate in scores.by_turn.items()},
    }


def _warn(scores: ModelScores | PairScores) -> None:
    if isinstance(scores, PairScores) and (warning := flip_warning(scores.model, scores.n_flipped, scores.n_scored)):
        say(f"warning: {warning}")
    if n := scores.n - scores.n_scored:
        often = ", ".join(f"{why} ({times})" for why, times in Counter(scores.reasons).most_common(SHOWN_REASONS))
        say(f"{scores.model}: no verdict on {n} of {counted(scores.n, 'answers')}, which count nowhere: {often}")


def _text(estimate: Estimate | None, times: int = 1) -> str | None:
    if estimate is None or estimate.value is None:
        return None
    digits = 1 if times > 1 else 2
    low, high = estimate.low, estimate.high
    between = "" if low is None or high is None else f" [{times * low:.{digits}f}, {times * high:.{digits}f}]"
    return f"{times * estimate.value:.{digits}f}{between}"


def _plain(value: Any) -> Any:
    """Return plain data with text keys, and estimates without their names and notes."""
    if not isinstance(value, dict):
        return value
    if "low" in value:
        return {name: value[name] for name in ("value", "low", "high", "n")}
    return {str(name): _plain(part) for name, part in value.items()}
