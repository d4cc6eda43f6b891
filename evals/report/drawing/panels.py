"""The pictures: a measure by iteration, the scores of an iteration, and its scores against the answers' lengths."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from evals.report.drawing.svg import FAINT, FIRST, LINE, SECOND, TEXT, svg_of
from evals.report.facts.judged import JudgedFacts

WIDTH_IN, HEIGHT_IN = 3.6, 2.5
MOST_POINTS = 400
N_BINS = 20
LEAST_SHARE, LEAST_SPAN = 0.1, 0.01
COLOURS = (FIRST, SECOND)
STYLES = (("-", "o"), ("--", "s"))
"""Colour is never the only sign."""


@dataclass(frozen=True)
class Point:
    """A measure of one iteration with its interval."""

    iteration: int
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Panel:
    """One picture with its title and, below it, a line of text."""

    title: str
    svg: str
    note: str = ""


def curve(title: str, runs: Sequence[tuple[str, Sequence[Point]]], level: tuple[float, str] | None = None) -> Panel:
    """Return a measure by iteration, a line for each run. `level` is a value to compare with, and its name."""
    figure, axes = _axes()
    axes.set_ylim(*_ends(title.endswith("%"), [point for _, points in runs for point in points]))
    for (name, points), colour, (line, marker) in zip(runs, COLOURS, STYLES, strict=False):
        numbers, values = [point.iteration for point in points], [point.value for point in points]
        axes.plot(numbers, values, line, marker=marker, color=colour, linewidth=1.6, markersize=5, label=name)
        for point in points:
            if point.low is not None and point.high is not None:
                ends = [point.low, point.high]
                axes.plot([point.iteration] * 2, ends, color=colour, linewidth=4, alpha=0.3, solid_capstyle="butt")
    if level is not None:
        axes.axhline(level[0], color=TEXT, linewidth=0.8, linestyle=":")
        axes.annotate(
            level[1], (1, level[0]), (2, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
            fontsize=8, va="center", annotation_clip=False,
        )  # fmt: skip
    every = sorted({point.iteration for _, points in runs for point in points})
    axes.set_xticks(every, [f"iter{number}" for number in every])
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.set_xlim(every[0] - 0.3, every[-1] + 0.3)
    if len(runs) > 1:
        axes.legend(frameon=False, fontsize=8, labelcolor=TEXT)
    shown = "; ".join(f"{name}: {', '.join(f'{point.value:.4g}' for point in points)}" for name, points in runs)
    return Panel(title, svg_of(figure, f"{title}. {shown}"))


def _ends(is_percent: bool, points: Sequence[Point]) -> tuple[float, float]:
    """Return the ends of the axis: all of 0 to 100 for percent, and for others no less than a tenth of the value.

    Else the noise of a measure that hardly changes would fill the picture.
    """
    if is_percent:
        return -3.0, 103.0
    values = [value for point in points for value in (point.value, point.low, point.high) if value is not None]
    low, high = min(values), max(values)
    least = max(LEAST_SHARE * max(abs(low), abs(high)), LEAST_SPAN)
    spare = max(0.1 * (high - low), (least - (high - low)) / 2)
    return low - spare, high + spare


def histogram(title: str, judged: JudgedFacts) -> Panel:
    """Return how often each score was given."""
    figure, axes = _axes()
    axes.hist(judged.scores, bins=N_BINS, color=FIRST)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("score", fontsize=8)
    n, mean = len(judged.scores), float(np.mean(judged.scores))
    note = f"{n:,} scores, mean {mean:.2f}, standard deviation {float(np.std(judged.scores)):.2f}"
    return Panel(title, svg_of(figure, f"{title}. {note}"), note)


def lengths(title: str, judged: JudgedFacts) -> Panel:
    """Return the scores against the lengths of the answers, a point for each of at most 400."""
    figure, axes = _axes()
    n = len(judged.scores)
    chosen = np.random.default_rng(0).permutation(n)[:MOST_POINTS]
    size = float(np.clip(200 / max(n, 1), 7, 25))  # many points stay apart, and few are seen
    axes.scatter(judged.chars[chosen], judged.scores[chosen], s=size, color=FIRST, alpha=0.45, linewidths=0)
    axes.set_xlabel("characters", fontsize=8)
    drawn = f"{len(chosen)} of {n:,} answers" if n > MOST_POINTS else f"{n:,} answers"
    correlation = judged.correlation
    note = drawn if correlation is None else f"{drawn}, Spearman's correlation {correlation:+.2f}"
    return Panel(title, svg_of(figure, f"{title}. {note}"), note)


def _axes() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN), layout="constrained")
    axes = figure.subplots()
    axes.tick_params(labelsize=8, colors=TEXT, length=0)
    axes.xaxis.label.set_color(TEXT)
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.spines["bottom"].set(visible=True, color=FAINT)
    return figure, axes
