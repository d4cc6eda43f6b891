"""The picture of the experiment: the quality of M0 to M3, and the judge's accuracy, by arm."""

import io
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from experiments.known_truth.arms import ARMS, FULL
from experiments.known_truth.results import ArmResult
from judges.intervals.mean import mean_of_known

PANELS = {
    "the loop, its ablations and bounds": (FULL, "no_eft", "positive", "truth", "random"),
    "how the score is read": (FULL, "text_3", "text_1"),
    "candidates": ("n_2", FULL, "n_8"),
    "which pairs, and beta": (FULL, "margin_1", "margin_2", "rho_0.2", "beta_0.1"),
}
COLOURS = ("#1f5f8b", "#d1742f", "#3f8f4f", "#8a4f9e", "#8a8a8a")
SIZE_IN = (13.0, 6.6)
DPI = 120


def draw(results: Sequence[ArmResult]) -> bytes:
    """Return the picture as PNG."""
    figure = Figure(figsize=SIZE_IN, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, len(PANELS), sharey="row")
    for place, (title, arms) in enumerate(PANELS.items()):
        done = [arm for arm in arms if any(result.arm == arm for result in results)]
        _lines(axes[0, place], results, done, lambda result, number: result.measured[number].quality)
        _lines(axes[1, place], results, done, lambda result, number: result.measured[number].own.half)
        axes[0, place].set_title(title, fontsize=10, loc="left")
        axes[0, place].legend(fontsize=8, frameon=False, loc="upper right")
        axes[1, place].axhline(0.5, color="black", linewidth=0.8, linestyle=":")
    axes[1, 0].set_ylim(0, 1)  # an interval over few seeds may exceed the range
    axes[0, 0].set_ylabel("quality of the answers, 0 to 5")
    axes[1, 0].set_ylabel("accuracy on own answers")
    n_seeds = len({result.seed for result in results})
    figure.suptitle(f"Self-rewarding where the truth is known: mean and 95% interval over {n_seeds} seeds", fontsize=12)
    picture = io.BytesIO()
    # without matplotlib's version, so that the same results give the same bytes
    figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()


def _lines(
    axes: Axes,
    results: Sequence[ArmResult],
    arms: Sequence[str],
    value: Callable[[ArmResult, int], float | None],
) -> None:
    for place, arm in enumerate(arms):
        rows = [result for result in results if result.arm == arm]
        means = [(number, mean_of_known([value(result, number) for result in rows])) for number in range(4)]
        known = [(number, mean) for number, mean in means if mean is not None]
        # Side by side, so that the intervals do not overlap.
        places = [number + 0.06 * (place - len(arms) / 2) for number, _ in known]
        heights = [mean.value for _, mean in known]
        errors = [mean.half or 0.0 for _, mean in known]
        colour = COLOURS[place % len(COLOURS)]
        axes.errorbar(places, heights, errors, color=colour, marker="o", markersize=3.5, capsize=2, label=_label(arm))
    axes.set_xticks(range(4), [f"M{number}" for number in range(4)])
    axes.spines[["top", "right"]].set_visible(False)


def _label(arm: str) -> str:
    return f"{arm} (N = {ARMS[arm].n})" if arm == FULL else arm
