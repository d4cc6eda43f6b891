"""Length controls for any judge, baseline and prompts, by the alpaca-eval package's cross-validated regression.

The preference is regressed on tanh(difference of lengths / its deviation) and a constant, the design that the package
calls `length_controlled_minimal`. With difficulties of the instructions it is `length_controlled_noreg`. The rate is
that at equal lengths. It is not the length-controlled win rate of the leaderboard and is never called that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec
import numpy as np
import pandas

from evals.alpaca.difficulty import Others, difficulties, measured
from evals.alpaca.package import quietly
from evals.alpaca.rows import Annotation
from records.store import write_atomic

NAME, BY_DIFFICULTY = "at equal lengths", "and difficulty"
FILE = "at_equal_lengths.json"
LEAST_ROWS = 20
"""The package's regression has five folds, and fewer rows than this leave too few in each."""


@dataclass(frozen=True)
class LengthControl:
    """Win rates at equal lengths, in percent. None cannot be told."""

    model: str
    judge: str
    baseline: str
    n: int
    """The rows with a preference and both outputs."""
    win_rate_at_equal_lengths: float | None
    win_rate_at_equal_lengths_and_difficulty: float | None
    """With the difficulty of each instruction for other models, or None without such models."""
    difficulty_from: list[str]
    """These models."""


def length_control(annotations: Sequence[Annotation], others: Others) -> LengthControl:
    """Return the win rates at equal lengths. Raises InputError if `others` are no models by this judge and baseline."""
    first = annotations[0]
    rows = measured(annotations)
    found = difficulties(others, first) if others else {}
    return LengthControl(
        model=first.generator_2,
        judge=first.annotator,
        baseline=first.generator_1,
        n=len(rows.keys) if rows else 0,
        win_rate_at_equal_lengths=at_equal_lengths(annotations),
        win_rate_at_equal_lengths_and_difficulty=at_equal_lengths(annotations, found) if found else None,
        difficulty_from=[file[0].generator_2 for file in others],
    )


def at_equal_lengths(annotations: Sequence[Annotation], difficulty: Mapping[str, float] | None = None) -> float | None:
    """Return the win rate at equal lengths, in percent, or None if it cannot be told.

    With difficulties by the instructions' keys, it is the mean over the instructions that have one.
    """
    rows = measured(annotations)
    if rows is None:
        return None
    frame = pandas.DataFrame({"length": rows.lengths, "constant": 1.0})
    if difficulty is not None:
        frame["difficulty"] = [difficulty.get(key, np.nan) for key in rows.keys]
    frame = frame.assign(preference=rows.preferences).dropna()
    if len(frame) < LEAST_ROWS:
        return None
    with quietly("metrics", "metrics.glm_winrate") as package:
        try:
            model = package.fit_LogisticRegressionCV(frame, "preference", is_ytrue_proba=True, n_splits=5)
        except ValueError:  # one class only: every answer lost, or every one won
            return None
        equal = frame.drop(columns="preference").assign(length=0.0)
        return 100 * float(model.predict_proba(equal)[:, 1].mean())


def write_length_control(folder: Path, control: LengthControl) -> None:
    """Write the win rates at equal lengths beside the leaderboard."""
    write_atomic(folder / FILE, msgspec.json.format(msgspec.json.encode(asdict(control)), indent=1) + b"\n")
