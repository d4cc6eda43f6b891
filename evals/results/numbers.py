"""Reads what the commands of evals have measured: the files of results in the evals/ of a run."""

import csv
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from console.errors import InputError
from console.reading import read_file
from console.table import Cell
from evals.results.official import BASELINE_OF, has_length_control
from judges.intervals.proportion import Z

MOST_BYTES = 64 << 20
OTHERS = re.compile(r"^(head_to_head|results)-[0-9a-f]{8}\.json$")
Ends = tuple[float | None, float | None]


@dataclass(frozen=True)
class Number:
    """One number of one model on one benchmark."""

    model: str
    benchmark: str
    measure: str
    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None
    unit: str = "%"
    judge: str | None = None
    """Whose verdicts it rests on, None for none. Numbers of two judges do not compare."""
    command: str = ""
    """The command of evals that measured it, such as `alpaca`."""

    def row(self) -> dict[str, Cell]:
        """Return the number as a table's row."""
        interval = "" if self.low is None or self.high is None else f" [{self.low:.1f}, {self.high:.1f}]"
        value = f"{self.value:.1f}{interval}"
        measure = f"{self.measure}, {self.unit}" if self.unit else self.measure
        named = {"model": self.model, "benchmark": self.benchmark, "judge": self.judge}
        return {**named, "measure": measure, "value": value, "n": self.n}


class _Annotation(msgspec.Struct, frozen=True):
    """What is read of a row of annotations.json."""

    annotator: str | None = None
    generator_1: str | None = None
    index: int | None = None


def numbers_in(folder: Path, problems: list[str]) -> list[Number]:
    """Return what lies in the evals/ of a run. A file that cannot be read is a problem, and the others are read."""
    found: list[Number] = []
    for path in sorted(folder.rglob("*")):
        # the results of other models and judges have digits in their names
        command, reader = READERS.get(OTHERS.sub(r"\1.json", path.name), ("", None))
        if reader is None and (path.parent.name, path.suffix) == ("reward_model", ".json"):
            command, reader = "reward_model", _judge_benchmark  # its file has the name of the benchmark's file
        if reader is None or not path.is_file():
            continue
        try:
            judge = _judge_of(path)
            found += [replace(number, judge=judge, command=command) for number in reader(path)]
        except (InputError, ValueError, TypeError, KeyError, LookupError) as error:
            problems.append(f"{path}: cannot be read: {error}")
    return found


def _alpaca(path: Path) -> list[Number]:
    """Read leaderboard.csv, in AlpacaEval's columns: rates and errors in percent.

    The length-controlled win rate is read only for annotators that have one, because older files have others'.
    """
    rows = _annotations(path)
    measures = {"win_rate": ("win rate", "standard_error")}
    if rows and has_length_control(rows[0].annotator, rows[0].generator_1):
        measures["length_controlled_winrate"] = ("length-controlled win rate", "lc_standard_error")
    found = []
    for record in csv.DictReader(read_file(path, MOST_BYTES).decode().splitlines()):
        for column, (measure, error_column) in measures.items():
            if (value := _number(record.get(column))) is not None:
                error = _number(record.get(error_column))
                ends: Ends = (None, None) if error is None else (value - Z * error, value + Z * error)
                model, n = path.parent.parent.name, _whole(record.get("n_total"))
                found.append(Number(model, _alpaca_name(path, rows), measure, value, *ends, n))
    return found


def _alpaca_name(path: Path, rows: Sequence[_Annotation]) -> str:
    """Return the folder's name, which says so if most prompts are not AlpacaEval's: the hub knows the bare name."""
    n_others = sum(row.index is None for row in rows if row.annotator not in BASELINE_OF)
    return f"{path.parent.name}: other prompts" if 2 * n_others > len(rows) else path.parent.name


def _equal_lengths(path: Path) -> list[Number]:
    """Read at_equal_lengths.json: win rates in percent, for any judge."""
    data = _json(path)
    measures = {"win_rate_at_equal_lengths": "win rate at equal lengths"}
    measures["win_rate_at_equal_lengths_and_difficulty"] = "win rate at equal lengths and difficulty"
    name = _alpaca_name(path, _annotations(path))
    return [
        Number(path.parent.parent.name, name, measure, value, n=_whole(data.get("n")))
        for column, measure in measures.items()
        if (value := _number(data.get(column))) is not None
    ]


def _open_llm(path: Path) -> list[Number]:
    """Read the results.json of evals.open_llm: shares and standard errors."""
    data = _json(path)
    if not isinstance(data.get("tasks"), list):
        return []
    found = []
    for task in data["tasks"]:
        if (value := _number(task.get("value"))) is not None:
            error = _number(task.get("stderr"))
            factor, unit = (100, "%") if task.get("is_share", True) else (1, "")
            ends: Ends = (None, None) if error is None else (factor * (value - Z * error), factor * (value + Z * error))
            name = f"{path.parent.name}: {task['task']}"
            measure, n = str(task.get("metric", "")), _whole(task.get("n"))
            found.append(Number(str(data.get("model")), name, measure, factor * value, *ends, n, unit))
    return found


def _head_to_head(path: Path) -> list[Number]:
    """Read head_to_head.json: a win rate for each match."""
    matches = _json(path).get("pairs", ())
    found = (
        _of_share(str(match["model"]), path.parent.name, f"win rate over {match['against']}", match.get("win_rate"))
        for match in matches
    )
    return [number for number in found if number is not None]


def _safety(path: Path) -> list[Number]:
    """Read safety.json: harm and refusals, as shares."""
    data = _json(path)
    measures = {"harm": "harm", "refused": "refused", "over_refused": "over-refused"}
    found = (
        _of_share(str(data.get("model")), path.parent.name, title, data.get(name)) for name, title in measures.items()
    )
    return [number for number in found if number is not None]


def _factuality(path: Path) -> list[Number]:
    """Read factuality.json: the shares of claims that a corpus supports."""
    data = _json(path)
    measures = {"factscore": "FActScore", "f1": f"F1@{data.get('k')}", "refuted": "refuted claims"}
    found = (
        _of_share(str(data.get("model")), path.parent.name, title, data.get(name)) for name, title in measures.items()
    )
    return [number for number in found if number is not None]


def _judge_benchmark(path: Path) -> list[Number]:
    """Read a file of evals.reward_model on a judge benchmark: its last aggregate for each judge, as it counts."""
    data = _json(path)
    if "benchmark" not in data:  # ranked answers
        return []
    numbers = []
    for judge in data["judges"]:
        aggregates = [figure for figure in judge["figures"] if figure["is_aggregate"]]
        if judge["fingerprint"] and aggregates:
            benchmark = str(data["benchmark"])
            title = f"{aggregates[-1]['name']}, as {benchmark} counts"
            numbers.append(_of_share(str(judge["name"]), benchmark, title, aggregates[-1]["theirs"]))
    return [number for number in numbers if number is not None]


def _human(path: Path) -> list[Number]:
    """Read human.json: a win rate by people's votes for each two models, once for all judges."""
    numbers = {}
    for match in _json(path).get("matches", ()):
        title = f"win rate over {match['first']}, by people"
        if number := _of_share(str(match["second"]), path.parent.name, title, match.get("by_people")):
            numbers[number.model, title] = number
    return list(numbers.values())


def _arena_hard(path: Path) -> list[Number]:
    """Read arena_hard.json: the score of each model in each category, over prompts."""
    folder, numbers = path.parent.name, []
    for category in _json(path).get("categories", ()):
        title = f"{folder}: {category['category']}"
        numbers += [
            _of_share(str(model["model"]), title, "score", model["over_prompts"]) for model in category["models"]
        ]
    return [number for number in numbers if number is not None]


def _mt_bench(path: Path) -> list[Number]:
    """Read mt_bench.json or vicuna_bench.json: mean scores from 1 to 10, or the win rates of pairs."""
    folder, numbers = path.parent.name, []
    for model in _json(path)["models"]:
        if "win_rate" in model:
            number = _of_share(str(model["model"]), folder, "win rate, ties as halves", model["win_rate"])
        else:
            number = _of_mean(str(model["model"]), folder, "mean score", model["average"])
        numbers += [] if number is None else [number]
    return numbers


def _of_mean(model: str, benchmark: str, measure: str, mean: Mapping[str, Any]) -> Number | None:
    """Return a mean with its interval in points of ten, or None if it is not known."""
    if (value := _number(mean.get("value"))) is None:
        return None
    ends: Ends = (_number(mean.get("low")), _number(mean.get("high")))
    return Number(model, benchmark, measure, value, *ends, _whole(mean.get("n")), "of 10")


def _of_share(model: str, benchmark: str, measure: str, share: Mapping[str, Any] | None) -> Number | None:
    """Return a share with its interval in percent, or None if it is not known."""
    if share is None or (value := _number(share.get("value"))) is None:
        return None
    low, high = (_number(share.get(end)) for end in ("low", "high"))
    ends: Ends = (None, None) if low is None or high is None else (100 * low, 100 * high)
    return Number(model, benchmark, measure, 100 * value, *ends, _whole(share.get("n")))


READERS: dict[str, tuple[str, Callable[[Path], list[Number]]]] = {
    "arena_hard.json": ("arena_hard", _arena_hard),
    "at_equal_lengths.json": ("alpaca", _equal_lengths),
    "leaderboard.csv": ("alpaca", _alpaca),
    "mt_bench.json": ("mt_bench", _mt_bench),
    "mt_bench_pair.json": ("mt_bench", _mt_bench),
    "vicuna_bench.json": ("mt_bench", _mt_bench),
    "vicuna_bench_pair.json": ("mt_bench", _mt_bench),
    "results.json": ("open_llm", _open_llm),
    "head_to_head.json": ("head_to_head", _head_to_head),
    "factuality.json": ("factuality", _factuality),
    "human.json": ("human", _human),
    "safety.json": ("safety", _safety),
}


def _judge_of(path: Path) -> str | None:
    """Return the judge of a file's numbers as its command names it, or None if there is none."""
    if path.name == "leaderboard.csv":
        rows = _annotations(path)
        return rows[0].annotator if rows else None
    judge = _json(path).get("judge")
    if isinstance(judge, dict):
        return f"{judge['model']} ({judge['fingerprint']})"
    return None if judge is None else str(judge)


def _annotations(path: Path) -> list[_Annotation]:
    """Return the rows of the annotations.json beside a leaderboard, or none."""
    annotations = path.with_name("annotations.json")
    if not annotations.is_file():
        return []
    return msgspec.json.decode(read_file(annotations, MOST_BYTES), type=list[_Annotation])


def _json(path: Path) -> dict[str, Any]:
    data = json.loads(read_file(path, MOST_BYTES))
    return data if isinstance(data, dict) else {}


def _whole(value: object) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _number(value: object) -> float | None:
    """Return a finite number, or None: an empty cell of a CSV file is none."""
    if isinstance(value, str):
        value = float(value) if value.strip() else None
    number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    return number if number is not None and abs(number) < float("inf") else None
