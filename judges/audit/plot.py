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


def draw(result: Audit) -> bytes | None:
    """Return the picture as PNG, or None without pairs."""
    if not result.n_pairs:
        return None
    # Matplotlib is slow to load, and only pairs have a picture.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE_IN, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)  # registers itself; pyplot would look for a display
    figure.get_layout_engine().set(w_pad=0.15, h_pad=0.15)  # type: ignore[union-attr, call-arg]
    title = "".join(" " if is_hidden(letter) else letter for letter in f"{result.set}: {result.about.judge}"[:110])
    figure.suptitle(title, fontsize=13, parse_math=False)  # a name is no formula
    above = ["accuracy", "confusion", "reliability"] if result.reliability else ["accuracy", "confusion"]
    places = figure.subplot_mosaic([above, ["biases"] * len(above)], height_ratios=[1, 0.9])  # type: ignore[list-item]
    panels = {"accuracy": _accuracy, "confusion": _confusion, "reliability": _reliability, "biases": _biases}
    for name, axes in places.items():
        panels[name](result, axes)
        axes.spines[["top", "right"]].set_visible(False)
    picture = io.BytesIO()
    # Without matplotlib's version in it, the same audit gives the same bytes.
    figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()


def _accuracy(result: Audit, axes: "Axes") -> None:
    """Draw the judge's accuracy above those of the rules that it must beat."""
    judge = next((measure for measure in result.measures if measure.name.endswith("accuracy, a tie is half")), None)
    bars = [("judge", judge), *((measure.name, measure.measure) for measure in result.baselines)]
    shown = [(name, measure) for name, measure in bars if measure is not None and measure.value is not None]
    for bar, (name, measure) in enumerate(reversed(shown)):
        value = measure.value or 0.0
        axes.barh(bar, value, height=0.62, color=JUDGE if name == "judge" else RULE)
        if measure.low is not None and measure.high is not None:
            axes.plot([measure.low, measure.high], [bar, bar], color="black", linewidth=1.4, solid_capstyle="butt")
        axes.text(1.02, bar, f"{value:.3f}", va="center", fontsize=10)
    axes.axvline(0.5, color="black", linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(shown)), [name for name, _ in reversed(shown)])
    axes.set_xlim(0, 1)
    axes.set_xlabel("accuracy on pairs with a preference;\na tie counts half (95% interval)", fontsize=9)
    axes.set_title("Against what it must beat", loc="left", pad=14)


def _confusion(result: Audit, axes: "Axes") -> None:
    """Draw the counts of each label and verdict, shaded by the share of the label's rows."""
    labels = [label for label in CODE if any(result.confusion[label].values())]
    verdicts = [v for v in (*CODE, "unscored") if v in CODE or any(result.confusion[label][v] for label in labels)]
    counts = [[result.confusion[label][verdict] for verdict in verdicts] for label in labels]
    shares = [[count / max(sum(place), 1) for count in place] for place in counts]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for place, label_counts in enumerate(counts):
        for column, count in enumerate(label_counts):
            share = shares[place][column]
            colour = "white" if share > 0.55 else "black"
            axes.text(
                column, place, f"{count}\n{100 * share:.0f}%", ha="center", va="center", color=colour, fontsize=10
            )
    axes.set_xticks(range(len(verdicts)), verdicts)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("verdict of the judge")
    axes.set_ylabel("label")
    axes.set_title("Labels and verdicts", loc="left", pad=14)


def _reliability(result: Audit, axes: "Axes") -> None:
    """Draw accuracy over confidence. The area of a dot shows its number of rows."""
    bins = [bin for bin in result.reliability if bin["n"]]
    largest = max(bin["n"] or 0 for bin in bins)
    confidence = [bin["confidence"] or 0.0 for bin in bins]
    accuracy = [bin["accuracy"] or 0.0 for bin in bins]
    axes.plot([0.5, 1], [0.5, 1], color=RULE, linewidth=1, linestyle="--", label="calibrated")
    axes.plot(confidence, accuracy, color=JUDGE, linewidth=1, alpha=0.6)
    sizes = [30 + 420 * (bin["n"] or 0) / largest for bin in bins]
    axes.scatter(confidence, accuracy, s=sizes, color=JUDGE, alpha=0.75, label="judge")
    for x, y, bin in zip(confidence, accuracy, bins, strict=True):
        axes.annotate(f"{bin['n']}", (x, y), textcoords="offset points", xytext=(0, 13), ha="center", fontsize=8)
    error = next((measure.value for measure in result.measures if measure.name == "expected calibration error"), None)
    axes.set_xlim(0.48, 1.02)
    axes.set_ylim(-0.05, 1.12)
    axes.set_xlabel("confidence: probability of the answer that it\nprefers; the numbers are rows", fontsize=9)
    axes.set_ylabel("accuracy")
    if error is not None:
        axes.text(
            0.98, 0.04, f"expected calibration error {error:.3f}", ha="right", transform=axes.transAxes, fontsize=9
        )
    axes.set_title("Reliability", loc="left", pad=14)


def _biases(result: Audit, axes: "Axes") -> None:
    """Draw each bias with its interval, in grey if the interval holds zero."""
    shown = [effect.effect for effect in result.biases if effect.effect.value is not None]
    shown = [effect for effect in shown if not effect.name.startswith("verbosity")]  # a rate, whose null is not zero
    axes.axvline(0, color="black", linewidth=0.8, linestyle=":")
    widest = 0.1
    for place, effect in enumerate(reversed(shown)):
        value = effect.value or 0.0
        known = effect.low is not None and effect.high is not None
        low, high = (effect.low or 0.0, effect.high or 0.0) if known else (value, value)
        colour = JUDGE if known and not low <= 0 <= high else RULE
        axes.plot([low, high], [place, place], color=colour, linewidth=2.2)
        axes.plot(value, place, "o", color=colour, markersize=7)
        widest = max(widest, abs(low), abs(high))
    axes.set_yticks(range(len(shown)), [f"{effect.name}  (n={effect.n})" for effect in reversed(shown)], fontsize=9)
    axes.set_ylim(-0.7, len(shown) - 0.3)
    axes.set_xlim(-1.08 * widest, 1.08 * widest)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("effect (95% interval); grey: the interval holds zero, or is not known", fontsize=9)
    axes.set_title("Biases", loc="left", pad=14)
