"""The published leaderboards that the alpaca-eval package brings, for rows beside one's own."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass

from evals.alpaca.package import package_folder
from evals.alpaca.rows import Annotation, missing

FOLDERS = {"gpt4_1106_preview": "data_AlpacaEval_2", "text_davinci_003": "data_AlpacaEval"}
"""The folder of the leaderboards against each official baseline."""
NEAR = 2
"""Published models shown above and below."""


@dataclass(frozen=True)
class Published:
    """One row of a leaderboard. Rates are in percent."""

    model: str
    win_rate: float
    length_controlled: float | None
    avg_length: int


def leaderboard(annotations: Sequence[Annotation]) -> list[Published]:
    """Return the leaderboard that the annotations compare with, the best model first, or nothing.

    They do if annotator, baseline and prompts are those of the leaderboard, with no prompt missing.
    """
    first = annotations[0]
    folder = FOLDERS.get(first.generator_1)
    path = package_folder() / "leaderboards" / (folder or "") / f"{first.annotator}_leaderboard.csv"
    if folder is None or not path.is_file() or missing(annotations) != []:
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows = [_row(record) for record in csv.DictReader(file)]
    return sorted(rows, key=lambda row: -row.win_rate)


def neighbours(rows: Sequence[Published], win_rate: float) -> tuple[list[Published], list[Published]]:
    """Return the published models nearest above and below a win rate."""
    above = [row for row in rows if row.win_rate > win_rate]
    below = [row for row in rows if row.win_rate <= win_rate]
    return above[-NEAR:], below[:NEAR]


def _row(record: dict[str, str]) -> Published:
    controlled = record.get("length_controlled_winrate") or None
    return Published(
        record[""],
        float(record["win_rate"]),
        None if controlled is None else float(controlled),
        int(float(record["avg_length"])),
    )
