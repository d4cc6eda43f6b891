"""The result of a head-to-head: its folder, its file head_to_head.json, its tables and its warnings."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import msgspec

from console.output import tell, tell_json
from console.progress import say
from console.table import Cell, print_table
from engines.options import EngineOptions
from evals.head_to_head.figures import Figures, Measured
from evals.head_to_head.options import BENCHMARK, Config
from evals.head_to_head.questions import Questions
from evals.head_to_head.ratings import Ratings
from evals.head_to_head.sides import AnswerFile, Side
from evals.head_to_head.stages import Answers
from judges.intervals.bootstrap import Estimate
from judges.judging.coverage import require_coverage
from judges.judging.judge import Judge
from judges.judging.win_rate import flip_warning
from records import write_atomic
from records.finish import cut_off
from records.inputs import output_name
from records.runs import RUNS, Run
from records.store import set_aside

NAMED = 2
"""Files of answers whose names are in the name of the folder."""
SMALL_P = 1e-4
SHOWN_CATEGORIES = 12
FILE = "head_to_head.json"


@dataclass(frozen=True)
class Entrant:
    """A compared model and its answers in figures."""

    name: str
    source: str
    """The model, or the file of its answers."""
    answers: int
    mean_chars: float | None
    empty: int
    cut_off: int


@dataclass(frozen=True)
class Result:
    """All that a head-to-head found."""

    entrants: list[Entrant]
    matches: list[Measured]
    ratings: Ratings | None
    """None for two models, whose win rate says it all."""
    questions: Questions
    warnings: list[str]


def results_of(config: Config, sides: Sequence[Side], run: Run | None) -> Path:
    """Return the folder of the results, below that of the run if there is one."""
    files = [side.path for side in sides if isinstance(side, AnswerFile)]
    sources = [config.prompts] if config.prompts else files[:NAMED]
    name = "-".join([BENCHMARK, *map(output_name, sources)])
    return config.out or (run.folder if run else RUNS) / "evals" / name


def entrant_of(side: Side, answers: Answers) -> Entrant:
    """Return a side with the figures of its answers."""
    known = [answer for answer in answers.values() if answer is not None]
    return Entrant(
        side.name,
        str(side.path) if isinstance(side, AnswerFile) else side.options.model,
        len(known),
        fmean(len(answer.response) for answer in known) if known else None,
        sum(not answer.response.strip() for answer in known),
        sum(cut_off(answer.finish_reason) is not None for answer in known),
    )


def flip_warnings(matches: Sequence[Measured]) -> list[str]:
    """Return a warning for each match in which the judge mostly names the place of an answer."""
    warnings = []
    for measured in matches:
        figures = measured.figures
        warning = flip_warning(_title(measured), figures.flipped, figures.n_both)
        if warning:
            places = f"{figures.first_place} of them for the answer shown first, {figures.second_place} for the second"
            warnings.append(f"{warning} ({places})")
    return warnings


def as_data(result: Result, config: Config, judge: Judge, options: EngineOptions) -> dict[str, Any]:
    """Return the result as plain data for JSON. Rates are from 0 to 1."""
    ratings = result.ratings
    return {
        "models": [asdict(entrant) for entrant in result.entrants],
        "judge": {
            "model": options.model,
            "fingerprint": judge.fingerprint,
            "rubric": judge.rubric.name,
            "read": judge.read,
        },
        "prompts": result.questions.source,
        "n_prompts": len(result.questions.all),
        "n_left_out": result.questions.n_left_out,
        "pairs": [
            {
                "model": measured.first,
                "against": measured.second,
                **_data(measured.figures),
                "reasons": dict(Counter(measured.reasons)),
                "by_category": {name: _data(figures) for name, figures in measured.by_category.items()},
            }
            for measured in result.matches
        ],
        "ratings": ratings
        and {
            "scale": "Elo points, mean 0",
            "models": [_interval(estimate) | {"model": estimate.name} for estimate in ratings.ratings],
            "problem": ratings.problem,
        },
        "warnings": result.warnings,
        "seed": config.seed,
        "resamples": config.resamples,
    }


def write_result(folder: Path, data: dict[str, Any]) -> Path:
    """Write head_to_head.json. A file of other models or another judge is set aside first."""
    path = folder / FILE
    if (before := _names_in(path)) is not None and before != _names(data):
        set_aside(path)
        say(f"{path}: set aside, because it is of other models or of another judge")
    write_atomic(path, msgspec.json.format(msgspec.json.encode(data), indent=1) + b"\n")
    return path


def print_result(result: Result, data: dict[str, Any], files: Sequence[Path], *, as_json: bool) -> None:
    """Print the tables, or the data with --json, and the warnings on stderr."""
    for warning in result.warnings:
        say(f"warning: {warning}")
    if as_json:
        tell_json(data | {"files": [str(file) for file in files]})
        return
    print_table([_row(measured) for measured in result.matches])
    if categories := _category_rows(result.matches):
        tell()
        print_table(categories)
    tell()
    print_table(_model_rows(result))
    if result.ratings and result.ratings.problem:
        say(f"no ratings: {result.ratings.problem}")
    judge = data["judge"]
    by = f"judged by {judge['model']} ({judge['fingerprint']}) on the rubric {judge['rubric']}, read by {judge['read']}"
    tell("", f"{by}, in both orders, on {len(result.questions.all)} prompts of {result.questions.source}")
    tell(f"files: {', '.join(map(str, files))}")


def check_verdicts(matches: Sequence[Measured], min_coverage: float) -> None:
    """Raise JudgeError if a match has too few verdicts. The match with the fewest is named."""
    fewest = min(matches, key=lambda measured: measured.figures.n_both)
    n, n_known = fewest.figures.n, fewest.figures.n_both
    require_coverage(
        n_known,
        n,
        max(min_coverage, 1 / n),  # a win rate needs one verdict at least
        what="prompts have a verdict",
        reasons=Counter(fewest.reasons),
        source=_title(fewest),
    )


def _title(measured: Measured) -> str:
    return f"{measured.first} against {measured.second}"


def _row(measured: Measured) -> dict[str, Cell]:
    return {"match": _title(measured), **_cells(measured.figures)}


def _cells(figures: Figures) -> dict[str, Cell]:
    return {
        "prompts": figures.n,
        "wins": figures.wins,
        "ties": figures.ties,
        "losses": figures.losses,
        "flipped": figures.flipped,
        "no verdict": figures.unscored,
        "win rate, %": _percent(figures.win_rate),
        "sign test, p": _p_text(figures.p_value),
        "longer won, %": _percent(figures.longer),
    }


def _category_rows(matches: Sequence[Measured]) -> list[dict[str, Cell]]:
    """Return a row for each match and category, of the largest categories."""
    sizes = Counter({name: figures.n for name, figures in matches[0].by_category.items()})
    largest = [name for name, _ in sizes.most_common(SHOWN_CATEGORIES)]
    if len(sizes) > len(largest):
        say(f"only the {len(largest)} largest of {len(sizes)} categories are shown; {FILE} has all")
    rows: list[dict[str, Cell]] = []
    for measured in matches:
        for name in largest:
            rows.append({"match": f"{_title(measured)}, {name}", **_cells(measured.by_category[name])})
    return rows


def _model_rows(result: Result) -> list[dict[str, Cell]]:
    points = {estimate.name: estimate for estimate in result.ratings.ratings} if result.ratings else {}
    rows: list[dict[str, Cell]] = []
    for entrant in result.entrants:
        row: dict[str, Cell] = {"model": entrant.name}
        if points:
            row["rating, Elo"] = _points(points[entrant.name])
        row |= {"answers": entrant.answers, "mean chars": entrant.mean_chars and round(entrant.mean_chars)}
        rows.append(row | {"empty": entrant.empty, "cut off": entrant.cut_off})
    if points:
        rows.sort(key=lambda row: -(points[str(row["model"])].value or 0))
    return rows


def _percent(share: Estimate) -> str | None:
    if share.value is None:
        return None
    between = "" if share.low is None or share.high is None else f" [{100 * share.low:.1f}, {100 * share.high:.1f}]"
    return f"{100 * share.value:.1f}{between}"


def _points(rating: Estimate) -> str | None:
    if rating.value is None:
        return None
    low, high = rating.low, rating.high
    between = "" if low is None or high is None else f" [{round(low):+d}, {round(high):+d}]"
    return f"{round(rating.value):+d}{between}"  # whole numbers have no -0


def _p_text(p: float | None) -> str | None:
    if p is None:
        return None
    return f"{p:.4f}" if p >= SMALL_P else f"{p:.0e}"


def _data(figures: Figures) -> dict[str, Any]:
    data = asdict(figures)
    data["win_rate"], data["longer"] = _interval(figures.win_rate), _interval(figures.longer)
    return data


def _interval(estimate: Estimate) -> dict[str, Any]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high, "n": estimate.n}


def _names(data: dict[str, Any]) -> tuple[list[str], str]:
    return sorted(entrant["name"] for entrant in data["models"]), data["judge"]["fingerprint"]


def _names_in(path: Path) -> tuple[list[str], str] | None:
    """Return whose result a file is, or None if there is no file. A damaged one is nobody's."""
    try:
        return _names(msgspec.json.decode(path.read_bytes(), type=dict[str, Any]))
    except FileNotFoundError:
        return None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
        return [], ""
