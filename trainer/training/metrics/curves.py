"""The curves of a training as a picture: what it logged, by step."""

import io
from collections.abc import Mapping, Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

PANELS = {
    "loss": ("loss", "policy_loss"),
    "reward": ("reward",),
    "reward margin": ("rewards/margins", "margin"),
    "accuracy": ("rewards/accuracies", "accuracy", "mean_token_accuracy"),
    "KL, nats": ("kl",),
    "tokens of an answer": ("completions/mean_length", "length"),
    "share without a verdict": ("null_share",),
    "entropy, nats": ("entropy",),
    "norm of the gradient": ("grad_norm",),
}
"""The titles of the panels, and the logged names that each may show. The first that there is counts."""
BESIDE = {"loss": "validation_loss"}
"""The logged names that are drawn beside those of a panel."""
COLOUR, OTHER, FAINT = "#1f5f8b", "#c8553d", "#d9d9d9"
PANEL_IN, COLUMNS, DPI = (3.4, 2.3), 3, 120
SMOOTHED = 40
"""With more steps than this a mean over a twentieth of them is drawn over the steps."""


def draw(rows: Sequence[Mapping[str, float]]) -> bytes | None:
    """Return the picture as PNG, or None if no figure has two steps."""
    curves = {title: points for title, names in PANELS.items() if len(points := _points(rows, names)) > 1}
    if not curves:
        return None
    n_columns = min(COLUMNS, len(curves))
    n_rows = -(-len(curves) // n_columns)
    figure = Figure((PANEL_IN[0] * n_columns, PANEL_IN[1] * n_rows), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(n_rows, n_columns, squeeze=False).flat)
    for axes in panels[len(curves) :]:
        axes.set_visible(False)
    for axes, (title, points) in zip(panels, curves.items(), strict=False):
        steps, values = zip(*points, strict=True)
        smooth = _smoothed(values)
        axes.plot(steps, values, color=COLOUR, linewidth=1.4, alpha=1.0 if smooth is None else 0.3)
        if smooth is not None:
            axes.plot(steps, smooth, color=COLOUR, linewidth=1.6)
        if beside := _points(rows, [BESIDE.get(title, "")]):
            axes.plot(*zip(*beside, strict=True), color=OTHER, linewidth=1.4, marker=".", label="validation")
            axes.legend(fontsize=7, frameon=False)
        axes.set_title(title, loc="left", fontsize=10)
        axes.tick_params(labelsize=8)
        axes.grid(axis="y", color=FAINT, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.get_major_locator().set_params(integer=True)
    figure.supxlabel("step", fontsize=9)
    picture = io.BytesIO()
    # without matplotlib's version, so that the same figures give the same bytes
    figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()


def _points(rows: Sequence[Mapping[str, float]], names: Sequence[str]) -> list[tuple[float, float]]:
    for name in names:
        if points := [(row["step"], row[name]) for row in rows if name in row]:
            return points
    return []


def _smoothed(values: Sequence[float]) -> list[float] | None:
    if len(values) <= SMOOTHED:
        return None
    reach = max(len(values) // 40, 1)
    windows = (values[max(n - reach, 0) : n + reach + 1] for n in range(len(values)))
    return [sum(window) / len(window) for window in windows]
