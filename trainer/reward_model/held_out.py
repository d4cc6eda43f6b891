"""Trains a reward model and measures it on pairs of held-out prompts."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engines.reward_model import RewardModel
from records import Pair
from trainer.reward_model.accuracy import figures, measure
from trainer.reward_model.bottleneck_options import BottleneckOptions
from trainer.reward_model.options import RewardOptions
from trainer.reward_model.train import train_reward_model
from trainer.reward_model.views import ViewPair
from trainer.training.outcome import table_row
from trainer.training.processes import is_first

if TYPE_CHECKING:
    from console.table import Cell


def train_and_measure(
    parent: Path,
    out: Path,
    pairs: Sequence[Pair],
    held_out: Sequence[Pair],
    options: RewardOptions,
    seed: int,
    *,
    samples: Sequence[ViewPair] | None,
    bottleneck: BottleneckOptions | None,
) -> "dict[str, Cell] | None":
    """Train on `pairs`, measure on `held_out`, and return the table row, or None on processes other than the first."""
    trained = train_reward_model(parent, out, pairs, options, seed, samples=samples, bottleneck=bottleneck)
    if not is_first():
        return None
    row = table_row(trained, out) | {name.removeprefix("bottleneck/"): value for name, value in trained.metrics.items()}
    if not held_out:
        return row
    return row | figures(measure(RewardModel.load(out, str(out)), held_out, seed))
