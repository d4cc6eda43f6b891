"""Draws the comparison: each policy on the lake, and its error over the steps."""

import io
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle
from torch import Tensor

from judges.intervals.mean import mean_of
from trainer.frozen_lake.lake import Lake
from trainer.frozen_lake.measures import policy_error, visited_states, visits
from trainer.frozen_lake.options import LakeOptions
from trainer.frozen_lake.train import TrainedPolicies

COLOURS = {"SFT": "#8a8a8a", "ORPO": "#8a4f9e", "IFT": "#d1742f", "DPO": "#1f5f8b", "PPO": "#3f8f4f"}
CELLS = {"S": "#ffffff", "F": "#ffffff", "H": "#4a4a4a", "G": "#f2c84b"}
DIRECTIONS = ((-1, 0), (0, 1), (1, 0), (0, -1))
"""Left, down, right, up, as (x, y) with y growing downwards."""
DASHED = {"IFT": (0, (3, 2))}
"""Dashed, so that a curve on top of another, as IFT's may be on SFT's, does not hide it."""
ARROW = 0.44
"""The length in cells of the arrow for a certain action. It ends inside its own cell."""
ARROW_STYLE: dict[str, Any] = {"length_includes_head": True, "color": "black", "linewidth": 0.8}
TIGHT = {"columnspacing": 0.8, "handlelength": 1.4, "handletextpad": 0.4}
LEAST_SHOWN = 0.02
"""The lowest probability that gets an arrow."""
SIZE_IN = (14.0, 7.0)
DPI = 110


def draw(trained: TrainedPolicies, options: LakeOptions) -> bytes:
    """Return the picture as PNG. Policies are means over the seeds, and curves have 95% intervals."""
    figure = Figure(figsize=SIZE_IN, dpi=DPI, layout=ConstrainedLayoutEngine(w_pad=0.1))
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 4)
    policies_KSA = {"target": trained.target_KSA} | {
        name: policies_PKSA[-1] for name, policies_PKSA in trained.policies_PKSA.items()
    }
    for place, (name, policy_KSA) in enumerate(policies_KSA.items()):
        _lake(axes[place // 3, place % 3], name, policy_KSA, trained.lake, options.horizon)
    every_S = torch.ones_like(trained.lake.acts_S)
    counted_S = every_S if options.terminals else trained.lake.acts_S
    _curves(axes[0, 3], "MSE, all states", trained, counted_S)
    _curves(axes[1, 3], "MSE, visited states", trained, visited_states(trained.lake))
    axes[1, 3].set_xlabel("optimiser steps")
    axes[1, 3].set_yscale("log")  # all curves but one may come close to 0, some much closer
    axes[1, 3].legend(fontsize=9, frameon=False, ncols=5, loc="upper center", bbox_to_anchor=(0.5, -0.16), **TIGHT)
    about = "arrows are the probabilities of actions, blue is the share of moves"
    figure.suptitle(f"Frozen Lake, map {options.map}, {len(trained.seeds)} seeds: {about}", fontsize=11)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()


def _lake(axes: Axes, name: str, policy_KSA: Tensor, lake: Lake, horizon: int) -> None:
    share_S, policy_SA = visits(policy_KSA, lake, horizon).mean(0), policy_KSA.mean(0)
    n_columns = len(lake.rows[0])
    for state, cell in enumerate("".join(lake.rows)):
        y, x = divmod(state, n_columns)
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=CELLS[cell], edgecolor="#bbbbbb"))
        if cell in "SG":
            axes.text(x - 0.44, y - 0.44, cell, fontsize=9, ha="left", va="top", zorder=3)
        if not lake.acts_S[state]:
            continue
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor="#1f5f8b", alpha=float(share_S[state])))
        for probability, (dx, dy) in zip(policy_SA[state].tolist(), DIRECTIONS, strict=True):
            if probability >= LEAST_SHOWN:
                size = ARROW * probability
                axes.arrow(x, y, dx * size, dy * size, **ARROW_STYLE, head_width=0.3 * size, zorder=3)
    axes.set(xlim=(-0.5, n_columns - 0.5), ylim=(len(lake.rows) - 0.5, -0.5), aspect="equal", xticks=[], yticks=[])
    axes.set_title(name, fontsize=10, loc="left")


def _curves(axes: Axes, title: str, trained: TrainedPolicies, counted_S: Tensor) -> None:
    for method, policies_PKSA in trained.policies_PKSA.items():
        errors = [mean_of(at_K.tolist()) for at_K in policy_error(policies_PKSA, trained.target_KSA, counted_S)]
        low = [error.value - (error.half or 0) for error in errors]
        high = [error.value + (error.half or 0) for error in errors]
        means = [error.value for error in errors]
        axes.plot(trained.steps_P, means, color=COLOURS[method], label=method, linestyle=DASHED.get(method, "-"))
        axes.fill_between(trained.steps_P, low, high, color=COLOURS[method], alpha=0.2, linewidth=0)
    axes.set_title(title, fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
