"""The matches as a picture: the win rate of the model of each row over the model of each column, in percent."""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from console.visible import is_hidden
from evals.head_to_head.measures.figures import Measured
from judges.intervals.bootstrap import Estimate

LOSES, EVEN, WINS, NONE = "#d1742f", "#ffffff", "#1f5f8b", "#e4e4e4"
CELL_IN, LEAST_IN = 1.15, 2.6
DPI = 150
LONGEST = 22
"""Characters of a name beside the matrix."""
PALE = 0.25
"""The distance from even under which the colour is pale, and its text is dark."""


def draw(names: Sequence[str], matches: Sequence[Measured], judge: str, n_questions: int) -> bytes:
    """Return the picture as PNG. The cell of a match without a verdict is empty."""
    n = len(names)
    size = max(LEAST_IN, CELL_IN * n)
    figure = Figure(figsize=(size + 2.2, size + 1.6), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    cells = cells_of(names, matches)
    rates_MM = np.full((n, n), np.nan)
    for (row, column), (rate, text) in cells.items():
        rates_MM[row, column] = rate
        colour = "black" if abs(rate - 0.5) < PALE else "white"
        axes.text(column, row, text, ha="center", va="center", fontsize=9, color=colour)
    colours = LinearSegmentedColormap.from_list("win rate", [LOSES, EVEN, WINS])
    axes.set_facecolor(NONE)  # shows through cells without a number
    axes.imshow(rates_MM, cmap=colours, vmin=0, vmax=1)
    shown = [_shown(name) for name in names]
    axes.set_xticks(range(n), shown, rotation=30 if n > 2 else 0, ha="left" if n > 2 else "center", parse_math=False)
    axes.set_yticks(range(n), shown, parse_math=False)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=9)
    for line in range(1, n):
        axes.axhline(line - 0.5, color=NONE, linewidth=1)
        axes.axvline(line - 0.5, color=NONE, linewidth=1)
    axes.spines[:].set_visible(False)
    axes.set_title("Win rate of the row over the column, %", loc="left", fontsize=11)
    under = f"{n_questions} prompts, both orders; [95% interval]\njudge: {_shown(judge, 60)}"
    axes.set_xlabel(under, fontsize=8, loc="left", parse_math=False)
    picture = io.BytesIO()
    # without matplotlib's version, so that the same figures give the same bytes
    figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()


def cells_of(names: Sequence[str], matches: Sequence[Measured]) -> dict[tuple[int, int], tuple[float, str]]:
    """Return the share and the text of each cell by row and column, those of the second model mirrored."""
    cells = {}
    for measured in matches:
        first, second = names.index(measured.first), names.index(measured.second)
        rate = measured.figures.win_rate
        if rate.value is not None:
            flipped = f"\n{100 * measured.figures.flipped / measured.figures.n_both:.0f}% flipped"
            cells[first, second] = rate.value, _text(rate, turned=False) + flipped
            cells[second, first] = 1 - rate.value, _text(rate, turned=True) + flipped
    return cells


def _text(rate: Estimate, *, turned: bool) -> str:
    ends = [rate.low, rate.value, rate.high]
    low, value, high = [None if end is None else 1 - end for end in reversed(ends)] if turned else ends
    between = "" if low is None or high is None else f"\n[{100 * low:.0f}, {100 * high:.0f}]"
    return f"{100 * (value or 0):.0f}{between}"


def _shown(name: str, longest: int = LONGEST) -> str:
    text = "".join(" " if is_hidden(letter) else letter for letter in name)
    return text if len(text) <= longest else f"…{text[1 - longest :]}"
