"""An audit as one picture: reliability diagram, confusion table, accuracy beside the baselines, biases."""

import io
from typing import TYPE_CHECKING

from console.visible import is_hidden
from judges.audit.result import Audit
from judges.labelled.labels import CODE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

JUDGE, RULE, FAINT = "#1f5f8b", "#8a8a8a", "#d9d9d9"
SIZE_IN = (14.0, 9.0)
DPI = 130


def draw(found: Audit) -> bytes | None:
    """Return the picture as PNG, or None where there is no pair to show."""
    if not found.n_pairs:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE_IN, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(w_pad=0.15, h_pad=0.15)  # type: ignore[union-attr, call-arg]
    title = "".join(" " if is_hidden(letter) else letter for letter in f"{found.set}: {found.about.judge}"[:110])
    figure.suptitle(title, fontsize=13, parse_math=False)  # a name is no formula
    above = ["accuracy", "confusion", "reliability"] if found.reliability else ["accuracy", "confusion"]
    places = figure.subplot_mosaic([above, ["biases"] * len(above)], height_ratios=[1, 0.9])  # type: ignore[list-item]
    panels = {"accuracy": _accuracy, "confusion": _confusion, "reliability": _reliability, "biases": _biases}
    for name, axes in places.items():
        panels[name](found, axes)
        axes.spines[["top", "right"]].set_visible(False)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()


def _accuracy(found: Audit, axes: "Axes") -> None:
    """Draw the judge's accuracy above those of the rules that it must beat."""
    own = next((one for one in found.measures if one.name.endswith("accuracy, a tie is half")), None)
    bars = [("judge", own), *((one.name, one.measure) for one in found.baselines)]
    shown = [(name, one) for name, one in bars if one is not None and one.value is not None]
    for row, (name, one) in enumerate(reversed(shown)):
        value = one.value or 0.0
        axes.barh(row, value, height=0.62, color=JUDGE if name == "judge" else RULE)
        if one.low is not None and one.high is not None:
            axes.plot([one.low, one.high], [row, row], color="black", linewidth=1.4, solid_capstyle="butt")
        axes.text(1.02, row, f"{value:.3f}", va="center", fontsize=10)
    axes.axvline(0.5, color="black", linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(shown)), [name for name, _ in reversed(shown)])
    axes.set_xlim(0, 1)
    axes.set_xlabel("accuracy on pairs with a preference;\na tie counts half (95% interval)", fontsize=9)
    axes.set_title("Against what it must beat", loc="left", pad=14)


def _confusion(found: Audit, axes: "Axes") -> None:
    """Draw how often each label meets each verdict, shaded by its share of the label's rows."""
    labels = [label for label in CODE if any(found.confusion[label].values())]
    verdicts = [v for v in (*CODE, "unscored") if v in CODE or any(found.confusion[label][v] for label in labels)]
    counts = [[found.confusion[label][verdict] for verdict in verdicts] for label in labels]
    shares = [[count / max(sum(row), 1) for count in row] for row in counts]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, own in enumerate(counts):
        for column, count in enumerate(own):
            share = shares[row][column]
            colour = "white" if share > 0.55 else "black"
            axes.text(column, row, f"{count}\n{100 * share:.0f}%", ha="center", va="center", color=colour, fontsize=10)
    axes.set_xticks(range(len(verdicts)), verdicts)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("verdict of the judge")
    axes.set_ylabel("label")
    axes.set_title("Labels and verdicts", loc="left", pad=14)


def _reliability(found: Audit, axes: "Axes") -> None:
    """Draw accuracy over confidence; the area of a dot is its number of rows."""
    some = [row for row in found.reliability if row["n"]]
    most = max(row["n"] or 0 for row in some)
    confidence = [row["confidence"] or 0.0 for row in some]
    accuracy = [row["accuracy"] or 0.0 for row in some]
    axes.plot([0.5, 1], [0.5, 1], color=RULE, linewidth=1, linestyle="--", label="calibrated")
    axes.plot(confidence, accuracy, color=JUDGE, linewidth=1, alpha=0.6)
    sizes = [30 + 420 * (row["n"] or 0) / most for row in some]
    axes.scatter(confidence, accuracy, s=sizes, color=JUDGE, alpha=0.75, label="judge")
    for x, y, row in zip(confidence, accuracy, some, strict=True):
        axes.annotate(f"{row['n']}", (x, y), textcoords="offset points", xytext=(0, 13), ha="center", fontsize=8)
    error = next((one.value for one in found.measures if one.name == "expected calibration error"), None)
    axes.set_xlim(0.48, 1.02)
    axes.set_ylim(-0.05, 1.12)
    axes.set_xlabel("confidence: probability of the answer that it\nprefers; the numbers are rows", fontsize=9)
    axes.set_ylabel("accuracy")
    if error is not None:
        axes.text(
            0.98, 0.04, f"expected calibration error {error:.3f}", ha="right", transform=axes.transAxes, fontsize=9
        )
    axes.set_title("Reliability", loc="left", pad=14)


def _biases(found: Audit, axes: "Axes") -> None:
    """Draw each bias with its interval; grey where the interval holds zero."""
    shown = [one.effect for one in found.biases if one.effect.value is not None]
    shown = [one for one in shown if not one.name.startswith("verbosity")]  # a rate, whose null is not zero
    axes.axvline(0, color="black", linewidth=0.8, linestyle=":")
    widest = 0.1
    for row, one in enumerate(reversed(shown)):
        value = one.value or 0.0
        known = one.low is not None and one.high is not None
        low, high = (one.low or 0.0, one.high or 0.0) if known else (value, value)
        colour = JUDGE if known and not low <= 0 <= high else RULE
        axes.plot([low, high], [row, row], color=colour, linewidth=2.2)
        axes.plot(value, row, "o", color=colour, markersize=7)
        widest = max(widest, abs(low), abs(high))
    axes.set_yticks(range(len(shown)), [f"{one.name}  (n={one.n})" for one in reversed(shown)], fontsize=9)
    axes.set_ylim(-0.7, len(shown) - 0.3)
    axes.set_xlim(-1.08 * widest, 1.08 * widest)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("effect (95% interval); grey: the interval holds zero, or is not known", fontsize=9)
    axes.set_title("Biases", loc="left", pad=14)
