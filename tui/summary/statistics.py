"""Figures of the rows that are shown: counts, win rate, lengths, agreement, and bars of a column's values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tui.filters.fields import BY_NAME as FIELDS
from tui.filters.fields import View, longer_side, without_verdict
from tui.reading.kinds import KINDS
from tui.summary.columns import BY_NAME
from tui.voting.agreement import agreements, corrected_rate

BAR = "▏▎▍▌▋▊▉█"
SPARK = "▁▂▃▄▅▆▇█"
BINS = 12
MOST_VALUES = 200


@dataclass(frozen=True)
class Count:
    """A value and the number of rows that have it."""

    value: str
    n: int
    filter: str
    """The filter that keeps just these rows, or nothing if there is none."""


def statistics(view: View, rows: np.ndarray) -> dict[str, Any]:
    """Return the figures of `rows` (places in the table), each under the words that name it."""
    part = view.rows[rows]
    winner, two = part["winner"], part["chars_b"] >= 0
    longer = longer_side(part)
    n_decided = int((longer > 0).sum())
    rate = corrected_rate(view.tally, rows[two])
    figures: dict[str, Any] = {"rows": len(rows)}
    figures |= {f"{kind}s": int((part["kind"] == place).sum()) for place, kind in enumerate(KINDS)}
    figures |= {
        "without a verdict": int(without_verdict(part).sum()),
        "a wins": int((winner == 1).sum()),
        "b wins": int((winner == 2).sum()),
        "ties": int((winner == 3).sum()),
        "order flips": int((part["flipped"] == 2).sum()),
        "longer answer won": None if not n_decided else float((longer == 1).sum() / n_decided),
        "mean score": _mean(np.fmax(part["score_a"], part["score_b"])),
        "mean margin": _mean(part["margin"]),
        "mean spread": _mean(part["spread"]),
        "mean chars of a": _mean(part["chars_a"][part["chars_a"] >= 0]),
        "mean chars of b": _mean(part["chars_b"][two & (part["chars_a"] >= 0)]),
        "voted on": rate.n_voted,
        "win rate of b, judge": rate.judge,
        "win rate of b, corrected by votes": rate.corrected,
        "its 95 % interval": None if rate.interval is None else [round(end, 4) for end in rate.interval],
    }
    return figures


def agreement_lines(view: View) -> list[str]:
    """Return a line for each two who can agree: voters, and voters with the judge."""
    lines = []
    for figures in agreements(view.tally):
        share = "-" if figures.share is None else f"{figures.share:.0%}"
        kappa = "-" if figures.kappa is None else f"{figures.kappa:.2f}"
        lines.append(f"{figures.first} and {figures.second}: {share} of {figures.n} the same, kappa {kappa}")
    return lines


def frequencies(view: View, rows: np.ndarray, column: str) -> list[Count]:
    """Return how many of `rows` have each value of a column, the most frequent first; ranges for a wide number."""
    field = BY_NAME[column].field
    if column == "prompt":
        return _prompts(view, rows)
    if field is None:
        return _ranges(rows.astype("f8") + 1, "")
    if FIELDS[field].kind == "number":
        numbers = FIELDS[field].values(view)[rows].astype("f8")
        different = np.unique(numbers[~np.isnan(numbers)])
        if len(different) <= BINS * 2:
            return _most_first([_of_number(field, value, numbers) for value in different], field, numbers)
        return [*_ranges(numbers, field), *_unknown(field, numbers)]
    return _words(view, rows, column, field)


def _prompts(view: View, rows: np.ndarray) -> list[Count]:
    _, first, n = np.unique(view.rows["prompt"][rows], return_index=True, return_counts=True)
    order = np.argsort(-n, kind="stable")[:MOST_VALUES]
    return [Count(view.table.head(int(rows[first[place]])), int(n[place]), "") for place in order]


def _words(view: View, rows: np.ndarray, column: str, field: str) -> list[Count]:
    """Count what the cells of a column say, by codes and not by cells: there may be a million."""
    named = FIELDS[field]
    codes = named.values(view)[rows]
    different, n = np.unique(codes, return_counts=True)
    names = named.choices if named.kind == "choice" else view.table.words.words
    counts = []
    for code, count in zip(different.tolist(), n.tolist(), strict=True):
        word = names[code]
        value = word if word and word not in ("none",) else "-"
        asked = f'{field}:"{word}"' if " " in word or not word.isascii() else f"{field}:{word}"
        counts.append(Count(value, count, f"{field}:none" if value == "-" else "" if '"' in word else asked))
    return sorted(counts, key=lambda count: -count.n)[:MOST_VALUES]


def _of_number(field: str, value: float, numbers: np.ndarray) -> Count:
    return Count(f"{value:g}", int((numbers == value).sum()), f"{field}:{value!r}")


def _most_first(counts: list[Count], field: str, numbers: np.ndarray) -> list[Count]:
    return [*sorted(counts, key=lambda count: -count.n), *_unknown(field, numbers)]


def _unknown(field: str, numbers: np.ndarray) -> list[Count]:
    n = int(np.isnan(numbers).sum())
    return [Count("-", n, f"{field}:none")] if n else []


def _ranges(numbers: np.ndarray, field: str) -> list[Count]:
    known = numbers[~np.isnan(numbers)]
    if not len(known):
        return []
    n, edges = np.histogram(known, bins=BINS)
    return [
        Count(
            f"{low:.4g} to {high:.4g}",
            int(count),
            f"{field}>={low:.17g} {field}{'<=' if place == BINS - 1 else '<'}{high:.17g}" if field else "",
        )
        for place, (low, high, count) in enumerate(zip(edges[:-1], edges[1:], n, strict=True))
    ]


def bar(share: float, cells: int) -> str:
    """Return a bar of up to `cells` cells, to an eighth of one."""
    eighths = round(max(0.0, min(1.0, share)) * cells * 8)
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (BAR[rest - 1] if rest else "")


def sparkline(values: Sequence[float | None]) -> str:
    """Return a line of small bars, from the lowest value to the highest. A missing value is a dot."""
    known = [value for value in values if value is not None and not np.isnan(value)]
    if not known:
        return "·" * len(values)
    low, high = min(known), max(known)
    step = (high - low) or 1.0
    return "".join(
        "·" if value is None or np.isnan(value) else SPARK[round((value - low) / step * (len(SPARK) - 1))]
        for value in values
    )


def _mean(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)] if values.dtype.kind == "f" else values
    return float(known.mean()) if len(known) else None
