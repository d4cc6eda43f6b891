"""The rows of the table as plain data, for --json."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from tui.filters.fields import View, delta_chars
from tui.reading.kinds import KINDS, WINNERS, YES_NO


def as_data(view: View, rows: np.ndarray) -> Iterator[dict[str, Any]]:
    """Yield each row as plain data, None for what is unknown."""
    words = view.table.words.words
    human = view.tally.human(view.rows)
    delta = delta_chars(view.rows)
    for row in rows.tolist():
        packed = view.rows[row]
        yield {
            "number": view.table.number(row, view.kind),
            "file": str(view.table.files[int(packed["source"])].path),
            "line": int(packed["line"]),
            "kind": KINDS[packed["kind"]],
            "prompt_start": view.table.head(row),
            "winner": WINNERS[packed["winner"]] or None,
            "score_a": _known(packed["score_a"]),
            "score_b": _known(packed["score_b"]),
            "margin": _known(packed["margin"]),
            "spread": _rounded(packed["spread"]),
            "confidence": _rounded(packed["confidence"]),
            "delta_chars": _known(delta[row]),
            "flipped": {"yes": True, "no": False}.get(YES_NO[packed["flipped"]]),
            "human": WINNERS[human[row]] or None,
            "iteration": None if packed["iter"] < 0 else int(packed["iter"]),
            "judge": words[packed["judge"]] or None,
            "model_a": words[packed["model_a"]] or None,
            "model_b": words[packed["model_b"]] or None,
            "error": words[packed["error"]] or None,
        }


def _known(value: np.generic) -> float | None:
    return None if np.isnan(value) else float(value)


def _rounded(value: np.generic) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)
