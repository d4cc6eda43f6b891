"""The settings of a reward model's training."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from console.ranges import Count, Positive, Share
from trainer.training.options import TrainingOptions

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class RewardOptions(TrainingOptions):
    """How to train; the defaults are AlpacaFarm's, but for the cosine, which falls to a tenth as all here do."""

    learning_rate: Positive = 3e-6
    max_length: Count = 512
    """Tokens of prompt and answer; a pair with a longer one is left out and counted."""
    warmup_share: Share = 0.03
    margins: bool = False
    """Ask each pair's reward to differ by its `margin` at least: -log sigmoid(r(yw) - r(yl) - m)."""
    head: Literal["zero", "random"] = "zero"
    """The weights that the reward is read with, at the start. zero: every reward is 0, whatever the seed. random: as
    AlpacaFarm has them, uniform in +-1/sqrt(features); of its head the bias only is zero, and here there is none."""
