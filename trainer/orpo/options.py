"""The settings of odds ratio preference optimisation."""

from dataclasses import dataclass

from console.ranges import Positive
from trainer.training.options import ValidatedOptions


@dataclass(frozen=True)
class ORPOOptions(ValidatedOptions):
    """Settings of the training. The weight is that of the paper's Mistral models (arXiv 2403.07691)."""

    learning_rate: Positive = 8e-6
    weight: Positive = 0.1
    """The weight of the odds ratio beside the chosen answers' likelihood, the paper's lambda. The paper of intuitive
    fine-tuning uses 0.25."""
