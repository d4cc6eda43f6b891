"""Puts another engine in the place of the one that a judging command opens."""

from collections.abc import Callable
from typing import Any

import pytest

PLACES = (
    "engines.options.open_engine",
    "judges.score.scoring.open_engine",
    "judges.compare.comparing.open_engine",
    "judges.best_of.choosing.open_engine",
    "judges.calibrate.judge.open_engine",
    "judges.calibrate.fit.open_engine",
    "judges.cluster.equivalences.choice.open_engine",
    "judges.panels.rows.open_engine",
    "judges.attacks.attacking.open_engine",
    "judges.serve.opening.open_engine",
)
"""Names by which the commands find `open_engine`."""


def patch_open_engine(monkeypatch: pytest.MonkeyPatch, open_engine: Callable[[Any], Any]) -> None:
    """Make the judging commands call `open_engine` instead of the one in engines.options."""
    for place in reversed(PLACES):
        monkeypatch.setattr(place, open_engine)
