"""The result of a head-to-head: its folder, its file head_to_head.json, its tables and its warnings."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

import msgspec

from console.output import tell, tell_json
from console.progress import say
from engines.options import EngineOptions
from evals.comparing.answer_files import AnswerFile
from evals.comparing.coverage import check_coverage
from evals.comparing.flags import JudgeFlags
from evals.head_to_head.measures.figures import Figures, Measured
from evals.head_to_head.options import BENCHMARK, Config
from evals.head_to_head.result import Entrant, Result, title_of
from evals.head_to_head.sides import Side
from evals.head_to_head.stages import Answers
from evals.head_to_head.tables import tell_tables, wrapped
from judges.intervals.bootstrap import Estimate
from judges.judging.judge import Judge
from judges.judging.win_rate import flip_warning
from records import write_atomic
from records.finish import cut_off
from records.inputs import output_name
from records.keys import content_key
from records.runs import RUNS, Run
from records.store import set_aside

NAMED = 2
"""The most files of answers of which each has a digest of its own in the name of the folder."""
FILE = "head_to_head.json"
UNKNOWN: tuple[list[str], str] = ([], "")
"""The names in a damaged file."""
OTHER_DIGITS = 8


def results_of(config: Config, sides: Sequence[Side], run: Run | None) -> Path:
    """Return the folder of the results, below that of the run if there is one."""
    files = sorted(side.path for side in sides if isinstance(side, AnswerFile))
    sources = [config.prompts] if config.prompts else files
    names = [output_name(*sources)] if len(sources) > NAMED else map(output_name, sources)
    return config.out or (run.folder if run else RUNS) / "evals" / "-".join([BENCHMARK, *names])


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
        warning = flip_warning(title_of(measured), figures.flipped, figures.n_both)
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
    """Write head_to_head.json. That of other models or of another judge stays under a name of its own, for the report.

    A file that cannot be read is set aside.
    """
    path = folder / FILE
    before = _names_in(path)
    if before == UNKNOWN:
        set_aside(path)
        say(f"{path}: set aside, because it cannot be read")
    elif before is not None and before != _names(data):
        path.replace(other := _path_of(folder, before))
        say(f"{path}: now {other.name}, because it is of other models or of another judge")
    _path_of(folder, _names(data)).unlink(missing_ok=True)  # the new file takes its place
    write_atomic(path, msgspec.json.format(msgspec.json.encode(data), indent=1) + b"\n")
    return path


def print_result(result: Result, data: dict[str, Any], files: Sequence[Path], *, as_json: bool) -> None:
    """Print the tables, or the data with --json, and the warnings on stderr."""
    for warning in result.warnings:
        say(f"warning: {warning}")
    if as_json:
        tell_json(data | {"files": [str(file) for file in files]})
        return
    tell_tables(result)
    judge = data["judge"]
    by = f"judged by {judge['model']} ({judge['fingerprint']}) on the rubric {judge['rubric']}, read by {judge['read']}"
    about = f"{by}, in both orders, on {len(result.questions.all)} prompts of {result.questions.source}"
    tell("", *wrapped(about), *wrapped(f"files: {', '.join(map(str, files))}"))


def check_verdicts(matches: Sequence[Measured], judge: JudgeFlags) -> None:
    """Raise JudgeError if a match has too few verdicts. The match with the fewest is named."""
    fewest = min(matches, key=lambda measured: measured.figures.n_both)
    figures = fewest.figures
    check_coverage(
        figures.n_both,
        fewest.reasons,
        figures.unanswered,
        judge.min_coverage,
        read=judge.judge_read,
        source=title_of(fewest),
    )


def _data(figures: Figures) -> dict[str, Any]:
    data = asdict(figures)
    for name in ("win_rate", "longer", "equal_length"):
        data[name] = _interval(getattr(figures, name))
    return data


def _interval(estimate: Estimate) -> dict[str, Any]:
    data = {"value": estimate.value, "low": estimate.low, "high": estimate.high, "n": estimate.n}
    return data | {"reason": estimate.note} if estimate.value is None and estimate.note else data


def _path_of(folder: Path, names: tuple[list[str], str]) -> Path:
    """Return the file of a result that is not the newest."""
    return folder / f"{Path(FILE).stem}-{content_key('head to head', names)[:OTHER_DIGITS]}.json"


def _names(data: dict[str, Any]) -> tuple[list[str], str]:
    return sorted(entrant["name"] for entrant in data["models"]), data["judge"]["fingerprint"]


def _names_in(path: Path) -> tuple[list[str], str] | None:
    """Return whose result a file is, or None if there is no file. A damaged one is nobody's."""
    try:
        return _names(msgspec.json.decode(path.read_bytes(), type=dict[str, Any]))
    except FileNotFoundError:
        return None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
        return UNKNOWN
