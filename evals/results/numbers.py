"""Reads what the commands of evals have measured: the files of results in the evals/ of a run."""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.errors import InputError
from console.reading import read_file
from console.table import Cell
from judges.intervals.proportion import Z

MOST_BYTES = 64 << 20
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

    def row(self) -> dict[str, Cell]:
        """Return the number as a table's row."""
        interval = "" if self.low is None or self.high is None else f" [{self.low:.1f}, {self.high:.1f}]"
        value = f"{self.value:.1f}{interval}"
        measure = f"{self.measure}, {self.unit}" if self.unit else self.measure
        return {"model": self.model, "benchmark": self.benchmark, "measure": measure, "value": value, "n": self.n}


def numbers_in(folder: Path, problems: list[str]) -> list[Number]:
    """Return what lies in the evals/ of a run. A file that cannot be read is a problem, and the others are read."""
    found: list[Number] = []
    for path in sorted(folder.rglob("*")):
        reader = READERS.get(path.name)
        if reader is None or not path.is_file():
            continue
        try:
            found += reader(path)
        except (InputError, ValueError, TypeError, KeyError, LookupError) as error:
            problems.append(f"{path}: cannot be read: {error}")
    return found


def _alpaca(path: Path) -> list[Number]:
    """Read leaderboard.csv, in AlpacaEval's columns: rates and errors in percent."""
    found = []
    measures = {"win_rate": ("win rate", "standard_error")}
    measures["length_controlled_winrate"] = ("length-controlled win rate", "lc_standard_error")
    for row in csv.DictReader(read_file(path, MOST_BYTES).decode().splitlines()):
        for column, (measure, error_column) in measures.items():
            if (value := _number(row.get(column))) is not None:
                error = _number(row.get(error_column))
                ends: Ends = (None, None) if error is None else (value - Z * error, value + Z * error)
                model, n = path.parent.parent.name, _whole(row.get("n_total"))
                found.append(Number(model, path.parent.name, measure, value, *ends, n))
    return found


def _open_llm(path: Path) -> list[Number]:
    """Read the results.json of evals.open_llm: shares and standard errors."""
    data = _json(path)
    if not isinstance(data.get("tasks"), list):
        return []
    found = []
    for task in data["tasks"]:
        if (value := _number(task.get("value"))) is not None:
            error = _number(task.get("stderr"))
            ends: Ends = (None, None) if error is None else (100 * (value - Z * error), 100 * (value + Z * error))
            name = f"{path.parent.name}: {task['task']}"
            measure, n = str(task.get("metric", "")), _whole(task.get("n"))
            found.append(Number(str(data.get("model")), name, measure, 100 * value, *ends, n))
    return found


def _head_to_head(path: Path) -> list[Number]:
    """Read head_to_head.json: a win rate for each match."""
    found = []
    for match in _json(path).get("pairs", ()):
        rate = match.get("win_rate") or {}
        if (value := _number(rate.get("value"))) is not None:
            low, high = (_number(rate.get(name)) for name in ("low", "high"))
            ends: Ends = (None, None) if low is None or high is None else (100 * low, 100 * high)
            title, n = f"win rate over {match['against']}", _whole(rate.get("n"))
            found.append(Number(str(match["model"]), path.parent.name, title, 100 * value, *ends, n))
    return found


def _safety(path: Path) -> list[Number]:
    """Read safety.json: harm and refusals, as shares."""
    data, found = _json(path), []
    for name, measure in (("harm", "harm"), ("refused", "refused"), ("over_refused", "over-refused")):
        share = data.get(name) or {}
        if (value := _number(share.get("value"))) is not None:
            low, high = (_number(share.get(end)) for end in ("low", "high"))
            ends: Ends = (None, None) if low is None or high is None else (100 * low, 100 * high)
            n = _whole(share.get("n"))
            found.append(Number(str(data["model"]), path.parent.name, measure, 100 * value, *ends, n))
    return found


def _human(path: Path) -> list[Number]:
    """Read human.json: a win rate by people's votes for each two models, once for all judges."""
    found = {}
    for match in _json(path).get("matches", ()):
        rate = match.get("by_people") or {}
        if (value := _number(rate.get("value"))) is not None:
            low, high = (_number(rate.get(end)) for end in ("low", "high"))
            ends: Ends = (None, None) if low is None or high is None else (100 * low, 100 * high)
            title, n = f"win rate over {match['first']}, by people", _whole(rate.get("n"))
            one = Number(str(match["second"]), path.parent.name, title, 100 * value, *ends, n)
            found[one.model, title] = one
    return list(found.values())


READERS: dict[str, Callable[[Path], list[Number]]] = {
    "leaderboard.csv": _alpaca,
    "results.json": _open_llm,
    "head_to_head.json": _head_to_head,
    "human.json": _human,
    "safety.json": _safety,
}


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
