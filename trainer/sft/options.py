"""The settings of supervised fine-tuning."""

from dataclasses import dataclass

from console.ranges import Positive
from trainer.training.options import LossOn, TrainingOptions


@dataclass(frozen=True)
class SFTOptions(TrainingOptions):
    """Settings of the training. The defaults are the paper's (Self-Rewarding, section 3.1.4)."""

    learning_rate: Positive = 5.5e-6
    loss_on: LossOn = "last"
    """The assistant's turns to learn from: the last one of each conversation, or all."""
    group_by_length: bool = False
    """Let a step take examples of like length: less is padding, and the order is less random."""
