"""The matches as a picture: the win rate of the model of each row over the model of each column, in percent."""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from evals.head_to_head.labels import drawable, labelled, lines_of, plain
from evals.head_to_head.measures.figures import Measured
from judges.intervals.bootstrap import Estimate

LOSES, EVEN, WINS, NONE = "#d1742f", "#ffffff", "#1f5f8b", "#e4e4e4"
COLOURS = LinearSegmentedColormap.from_list("win rate", [LOSES, EVEN, WINS])
CELL_IN = 1.2
MARGIN_IN = 0.15
DPI = 150
LETTERS_OF_COLUMN, LINES_OF_COLUMN = 15, 6
LETTERS_OF_ROW, LINES_OF_ROW = 28, 3
"""Letters in a line of a name above a column or beside a row, and lines."""
LETTERS_UNDER_A_CELL = 18
"""Letters in a line under the matrix, of smaller letters, for each column."""
DARK = 0.18
"""The luminance under which white is easier to read on a colour than black (WCAG 2, relative luminance)."""


def draw(names: Sequence[str], matches: Sequence[Measured], judge: str, n_questions: int) -> bytes:
    """Return the picture as PNG. The cell of a match without a verdict says so."""
    figure = matrix_of(names, matches)
    (axes,) = figure.axes
    under = [f"{n_questions} prompts, both orders; [95% interval]", plain(f"judge: {judge}")]
    lines = [line for text in under for line in lines_of(text, LETTERS_UNDER_A_CELL * max(len(names), 3))]
    axes.set_xlabel("\n".join(lines), fontsize=8, loc="left", parse_math=False)
    axes.set_title("Win rate of the row over the column, %", loc="left", fontsize=11, pad=10)
    picture = io.BytesIO()
    # the picture is as large as the matrix and all that stands around it. It is without matplotlib's version, so that
    # the same figures give the same bytes
    figure.savefig(picture, format="png", metadata={"Software": None}, bbox_inches="tight", pad_inches=MARGIN_IN)
    return picture.getvalue()


def matrix_of(names: Sequence[str], matches: Sequence[Measured]) -> Figure:
    """Return the matrix of the win rates, which fills the figure, with the names outside of it."""
    n = len(names)
    figure = Figure(figsize=(CELL_IN * n, CELL_IN * n), dpi=DPI)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    rates_MM = np.full((n, n), np.nan)
    for (row, column), (rate, text) in cells_of(names, matches).items():
        rates_MM[row, column] = np.nan if rate is None else rate
        axes.text(column, row, text, ha="center", va="center", fontsize=9, color=_ink(rate))
    axes.set_facecolor(NONE)  # shows through cells without a number
    axes.imshow(rates_MM, cmap=COLOURS, vmin=0, vmax=1)
    shown = drawable(names)
    axes.set_xticks(range(n), labelled(shown, LETTERS_OF_COLUMN, LINES_OF_COLUMN), parse_math=False)
    axes.set_yticks(range(n), labelled(shown, LETTERS_OF_ROW, LINES_OF_ROW), parse_math=False)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=8.5)
    for line in range(1, n):
        axes.axhline(line - 0.5, color=NONE, linewidth=1)
        axes.axvline(line - 0.5, color=NONE, linewidth=1)
    axes.spines[:].set_visible(False)
    return figure


def cells_of(names: Sequence[str], matches: Sequence[Measured]) -> dict[tuple[int, int], tuple[float | None, str]]:
    """Return the share and the text of each cell by row and column, those of the second model mirrored.

    The share is None without a verdict.
    """
    cells: dict[tuple[int, int], tuple[float | None, str]] = {}
    for measured in matches:
        first, second = names.index(measured.first), names.index(measured.second)
        rate = measured.figures.win_rate
        if rate.value is None:
            cells[first, second] = cells[second, first] = None, "no\nverdict"
            continue
        flipped = f"\n{100 * measured.figures.flipped / measured.figures.n_both:.0f}% flipped"
        cells[first, second] = rate.value, _text(rate, turned=False) + flipped
        cells[second, first] = 1 - rate.value, _text(rate, turned=True) + flipped
    return cells


def _text(rate: Estimate, *, turned: bool) -> str:
    ends = [rate.low, rate.value, rate.high]
    low, value, high = [None if end is None else 1 - end for end in reversed(ends)] if turned else ends
    between = "" if low is None or high is None else f"\n[{100 * low:.0f}, {100 * high:.0f}]"
    return f"{100 * (value or 0):.0f}{between}"


def _ink(rate: float | None) -> str:
    """Return the colour of a text on the cell of a rate, the one with more contrast."""
    if rate is None:
        return "black"
    shares = (((part + 0.055) / 1.055) ** 2.4 if part > 0.04045 else part / 12.92 for part in COLOURS(rate)[:3])
    luminance = sum(weight * share for weight, share in zip((0.2126, 0.7152, 0.0722), shares, strict=True))
    return "white" if luminance < DARK else "black"
