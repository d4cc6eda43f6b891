"""Compare the win rates at equal lengths with AlpacaEval's own length-controlled win rate, on published annotations.

python -m benchmarks.evals.length ../shared/data/alpaca_eval

The folder has published annotations of AlpacaEval 2 in ae2_annotations/, and the published win rates in lc_check.csv.
Each model's difficulties of the prompts come from the other models.
"""

import argparse
import csv
import sys
from pathlib import Path

import numpy as np

from console.table import Cell, print_table
from evals.alpaca.format import read_annotations
from evals.alpaca.length import length_control
from evals.alpaca.metrics import win_rates
from evals.alpaca.rows import each_once
from records.files import BadRows

APART = ("gpt4_1106_preview", "NullModel")
"""The baseline itself, and a model whose one answer speaks to the judge."""
COLUMNS = ("win rate", "at equal lengths", "two others", "all others", "length-controlled")
Row = dict[str, float]


def main() -> None:
    """Print a row for each model, and how far each column is from the published one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    paths = sorted((folder / "ae2_annotations").glob("*.json.gz"))
    files = {path.name.removesuffix(".json.gz"): path for path in paths}
    annotations = {
        name: each_once(read_annotations(path, BadRows()), path) for name, path in files.items() if name not in APART
    }
    controlled = _published(folder)
    rows = {}
    for name, mine in annotations.items():
        others = [theirs for other, theirs in annotations.items() if other != name]
        few, every = length_control(mine, others[:2]), length_control(mine, others)
        known = (win_rates(mine).win_rate, every.win_rate_at_equal_lengths)
        refitted = [control.win_rate_at_equal_lengths_and_difficulty for control in (few, every)]
        values = [float("nan") if value is None else value for value in (*known, *refitted)]
        rows[name] = dict(zip(COLUMNS, [*values, controlled.get(name, float("nan"))], strict=True))
    print_table([{"model": name, **_cells(row)} for name, row in rows.items()])
    sys.stdout.write("\n")
    print_table(_against([row for row in rows.values() if np.isfinite(row[COLUMNS[-1]])]))


def _published(folder: Path) -> dict[str, float]:
    with (folder / "lc_check.csv").open(encoding="utf-8", newline="") as file:
        return {row["model"]: float(row["lc_leaderboard"]) for row in csv.DictReader(file)}


def _cells(row: Row) -> dict[str, Cell]:
    return {name: f"{value:.2f}" if np.isfinite(value) else None for name, value in row.items()}


def _against(rows: list[Row]) -> list[dict[str, Cell]]:
    truth_M = np.array([row[COLUMNS[-1]] for row in rows])
    table: list[dict[str, Cell]] = []
    for name in COLUMNS[:-1]:
        values_M = np.array([row[name] for row in rows])
        table.append(
            {
                "win rate": name,
                "correlation": f"{np.corrcoef(values_M, truth_M)[0, 1]:.3f}",
                "mean difference": f"{np.mean(values_M - truth_M):+.2f}",
                "mean distance": f"{np.mean(np.abs(values_M - truth_M)):.2f}",
            }
        )
    return table


if __name__ == "__main__":
    main()
