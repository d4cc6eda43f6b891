"""The curve of a run as a picture: what the answers follow, and how often the judge is right, by iteration."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from judges.intervals.bootstrap import Estimate
from trainer.loop.held_out.figures import IterationFigures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ANSWERS, JUDGE, FAINT = "#1f5f8b", "#d1742f", "#d9d9d9"
WIDTH_IN, HEIGHT_IN = 8.4, 3.8
EACH_IN = 2.1
"""The width that the labels of an iteration need in both panels together."""
DPI = 150


def draw(measured: Sequence[IterationFigures]) -> bytes | None:
    """Return the picture as PNG, or None if no held-out prompt has constraints."""
    known = [(figures.iteration, figures.following) for figures in measured if figures.following is not None]
    if not known:
        return None
    # Matplotlib takes a second to load, which a run without constraints need not wait for.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(WIDTH_IN, EACH_IN * len(known)), HEIGHT_IN), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.1)  # type: ignore[union-attr, call-arg]
    left, right = figure.subplots(1, 2, sharey=True)
    _points(left, [(number, following.follows) for number, following in known], ANSWERS)
    left.set_title("Answers that do what is asked, %", loc="left", fontsize=11)
    _points(right, [(number, following.known_pairs) for number, following in known], JUDGE)
    right.set_title("Judge is right on known pairs, %", loc="left", fontsize=11)
    right.axhline(50, color="black", linewidth=0.9, linestyle=":")
    right.text(known[-1][0] + 0.5, 50, "chance", va="center", fontsize=9)
    numbers = [number for number, _ in known]
    left.set_xticks(numbers, [f"iter{number}\n{following.follows.n} answers" for number, following in known])
    right.set_xticks(numbers, [f"iter{number}\n{_pairs(following.known_pairs.n)}" for number, following in known])
    figure.supxlabel(f"on {known[0][1].n_prompts} held-out prompts; bars are 95% intervals", fontsize=9)
    for axes in (left, right):
        axes.tick_params(axis="x", labelsize=9)
        axes.set_xlim(numbers[0] - 0.45, numbers[-1] + 0.45)
        axes.set_ylim(0, 110)  # room for a number above 100 %
        axes.set_yticks(range(0, 101, 25))
        axes.grid(axis="y", color=FAINT, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    picture = io.BytesIO()
    # without matplotlib's version, so that the same figures give the same bytes
    figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()


def _points(axes: "Axes", shares: Sequence[tuple[int, Estimate]], colour: str) -> None:
    """Draw each share in percent with its interval and its number, joined by a line."""
    known = [(number, share, share.value) for number, share in shares if share.value is not None]
    axes.plot([number for number, *_ in known], [100 * value for *_, value in known], color=colour, linewidth=1.6)
    for number, share, value in known:
        top = value if share.high is None else share.high
        if share.low is not None:
            ends = [100 * share.low, 100 * top]
            axes.plot([number, number], ends, color=colour, linewidth=5, alpha=0.28, solid_capstyle="butt")
        axes.plot(number, 100 * value, "o", color=colour, markersize=6, clip_on=False)
        axes.text(number, 100 * top + 2, f"{100 * value:.0f}", ha="center", va="bottom", fontsize=10)


def _pairs(n: int) -> str:
    return "1 pair" if n == 1 else f"{n} pairs"
