"""A length control for any judge, baseline and prompts: the design that alpaca-eval calls `length_controlled_minimal`.

The preference is regressed on tanh(difference of lengths / its deviation) and a constant, by the package's own
cross-validated regression. The rate is that at equal lengths. It knows no difficulty of the instructions and no other
models, so it is not the length-controlled win rate of the leaderboard and is never called that.
"""

import math
from collections.abc import Sequence

import pandas

from evals.alpaca.package import quietly
from evals.alpaca.rows import Annotation

NAME = "at equal lengths"
LEAST_ROWS = 20
"""The package's regression has five folds, and fewer rows than this leave too few in each."""


def at_equal_lengths(annotations: Sequence[Annotation]) -> float | None:
    """Return the win rate at equal lengths, in percent, or None if it cannot be told."""
    rows = [
        (len(row.output_1) - len(row.output_2), (1.5 if row.preference == 0 else row.preference) - 1)
        for row in annotations
        if row.output_1 is not None and row.output_2 is not None and row.preference is not None
    ]
    frame = pandas.DataFrame(rows, columns=["difference", "preference"])
    deviation = float(frame["difference"].std()) if len(rows) > 1 else 0.0
    if len(rows) < LEAST_ROWS or not deviation > 0:
        return None
    lengths = [math.tanh(difference / deviation) for difference in frame["difference"]]
    train = pandas.DataFrame({"length": lengths, "constant": 1.0, "preference": frame["preference"]})
    with quietly("metrics", "metrics.glm_winrate") as package:
        try:
            model = package.fit_LogisticRegressionCV(train, "preference", is_ytrue_proba=True, n_splits=5)
        except ValueError:  # one class only: every answer lost, or every one won
            return None
        equal = pandas.DataFrame({"length": [0.0], "constant": [1.0]})
        return 100 * float(model.predict_proba(equal)[0, 1])
