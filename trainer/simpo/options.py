"""The settings of simple preference optimisation."""

from dataclasses import dataclass

from console.ranges import NotNegative, Positive
from trainer.training.options import ValidatedOptions


@dataclass(frozen=True)
class SimPOOptions(ValidatedOptions):
    """Settings of the training. Beta and margin are those of the intuitive fine-tuning paper's comparison (table 4)."""

    learning_rate: Positive = 5e-7
    beta: Positive = 2.0
    """The scale of a difference of mean log-probabilities."""
    gamma_over_beta: NotNegative = 0.8
    """The target margin between the mean log-probabilities; 0 asks for none."""
