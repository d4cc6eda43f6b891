"""The picture of the experiment: compliance by iteration and the judge's accuracy beside it, with bands over seeds."""

import io
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from experiments.instruction_following.arms import CHECKED, OWN
from experiments.instruction_following.report import follows, is_right
from experiments.instruction_following.results import ArmResult, IterationResult
from experiments.over_seeds import mean_over

GROUPS = {
    "who makes the pairs": (CHECKED, "constraints_only", "passing", "no_eft", OWN, "own_margin", "own_text", "random"),
    "ways out for the own score": (CHECKED, "mixed_25", "mixed_10", "mixed_5", "frozen", "panel", "replay", OWN),
}
COLOURS = {CHECKED: "#1f5f8b", OWN: "#c0392b"}
OTHERS = ("#d1742f", "#3f8f4f", "#8a4f9e", "#b8860b", "#2a9d8f", "#8a8a8a")
SIZE_IN, DPI = (11.0, 8.0), 120
GAP = 4.0
"""The least distance between two labels, in percent."""


def draw(results: Sequence[ArmResult]) -> bytes:
    """Return the picture as PNG."""
    done = {result.arm for result in results}
    groups = {title: [arm for arm in arms if arm in done] for title, arms in GROUPS.items()}
    # CHECKED and OWN stand in both, for comparison, and alone they are one picture.
    groups = {
        title: arms
        for number, (title, arms) in enumerate(groups.items())
        if arms and (not number or {*arms} - {CHECKED, OWN})
    }
    figure = Figure(figsize=(SIZE_IN[0], SIZE_IN[1] / 2 * len(groups)), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(groups), 2, squeeze=False, sharex=True)
    for row, (title, arms) in enumerate(groups.items()):
        _lines(axes[row, 0], results, arms, follows)
        _lines(axes[row, 1], results, arms, is_right)
        axes[row, 0].set_title(f"Answers that do what is asked, %: {title}", fontsize=10, loc="left")
        axes[row, 1].set_title("Own score is right on known pairs, %", fontsize=10, loc="left")
        axes[row, 1].axhline(50, color="black", linewidth=0.8, linestyle=":")
    n_seeds = len({result.seed for result in results})
    bands = "; bands are 95% intervals over seeds" if n_seeds > 1 else ""
    figure.suptitle(f"Self-rewarding on prompts that a program can check, {_seeds(n_seeds)}{bands}", fontsize=12)
    picture = io.BytesIO()
    # without matplotlib's version, so that the same results give the same bytes
    figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()


def _lines(
    axes: Axes, results: Sequence[ArmResult], arms: Sequence[str], of: Callable[[IterationResult], float | None]
) -> None:
    last = min(len(result.iterations) for result in results) - 1  # what every arm has
    others = iter(OTHERS)
    ends = []
    for arm in arms:
        means = [
            (number, mean_over(results, arm, lambda result, at=number: of(result.iterations[at])))  # type: ignore[misc]
            for number in range(last + 1)
        ]
        known = [(number, mean) for number, mean in means if mean is not None]
        if not known:
            continue
        colour = COLOURS.get(arm) or next(others)
        places, values = [number for number, _ in known], [mean.value for _, mean in known]
        halves = [mean.half or 0.0 for _, mean in known]
        width = 2.4 if arm in COLOURS else 1.3
        axes.plot(places, values, color=colour, linewidth=width, marker="o", markersize=3)
        low, high = ([value + sign * half for value, half in zip(values, halves, strict=True)] for sign in (-1, 1))
        axes.fill_between(places, low, high, color=colour, alpha=0.12, linewidth=0)
        ends.append((values[-1], arm, colour))
    for height, (_, arm, colour) in zip(_apart([value for value, *_ in sorted(ends)]), sorted(ends), strict=True):
        axes.text(last + 0.06, height, arm, color=colour, fontsize=8, va="center")
    axes.set_xticks(range(last + 1), [f"iter{number}" for number in range(last + 1)])
    axes.set_xlim(-0.1, last + 0.75)
    axes.set_ylim(0, 100)
    axes.grid(axis="y", color="#d9d9d9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _apart(heights: Sequence[float]) -> list[float]:
    """Return ascending heights moved up as little as needed for labels that do not overlap."""
    placed: list[float] = []
    for height in heights:
        placed.append(max(height, placed[-1] + GAP) if placed else height)
    over = max(0.0, placed[-1] - 98) if placed else 0.0  # the highest label must end under 100
    return [height - over for height in placed]


def _seeds(n: int) -> str:
    return "1 seed" if n == 1 else f"{n} seeds"
