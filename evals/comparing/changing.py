"""What changed from one model to another, and shares as text: for evaluations with a row for each model."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from judges.intervals.bootstrap import Estimate, Floats, difference


def changes(first: Mapping[str, Floats], last: Mapping[str, Floats], weights_BN: Floats) -> list[Estimate]:
    """Return the change of each figure, on the prompts for which both models have it.

    A figure has a value for each prompt, in the same order, and NaN if it is unknown.
    """
    found = []
    for name, first_N in first.items():
        both = np.isfinite(first_N) & np.isfinite(last[name])
        if both.any():
            known = (np.where(both, last[name], np.nan), np.where(both, first_N, np.nan))
            found.append(difference(name, *known, weights_BN))
    return found


def percent(share: Estimate) -> str | None:
    """Return a share in percent with its interval, or None if it is not known."""
    if share.value is None:
        return None
    ends = "" if share.low is None or share.high is None else f" [{100 * share.low:.1f}, {100 * share.high:.1f}]"
    return f"{100 * share.value:.1f}{ends}"


def change_text(change: Estimate, factor: int = 100) -> str:
    """Return a change with its sign and its interval, times `factor`: 100 gives points of percent."""
    if change.value is None:
        return "-"
    is_known = change.low is not None and change.high is not None
    ends = f" [{factor * (change.low or 0):+.1f}, {factor * (change.high or 0):+.1f}]" if is_known else ""
    return f"{factor * change.value:+.1f}{ends}"


def without_values(figures: Any) -> dict[str, Any]:
    """Return a dataclass of figures as plain data, without its values of each prompt."""
    return {name: value for name, value in asdict(figures).items() if name != "values"}
