"""The settings of Kahneman-Tversky optimisation, and their check against the data."""

from collections.abc import Sequence
from dataclasses import dataclass

from console.ranges import Couple, Positive
from records import Pair
from records.rated import Rated
from trainer.preference.columns import check_pairs
from trainer.training.options import ValidatedOptions, check_options


@dataclass(frozen=True)
class KTOOptions(ValidatedOptions):
    """Settings of the training. An example is one answer, so a pair makes two (arXiv 2402.01306, section 4)."""

    learning_rate: Positive = 1e-6
    micro_batch_size: Couple = 2
    """Examples in a device's memory at once. The distance to the reference is estimated from their answers."""
    beta: Positive = 0.1
    """The strength of the pull towards the reference."""
    desirable_weight: Positive = 1.0
    """The weight of a chosen answer in the loss."""
    undesirable_weight: Positive = 1.0
    """The weight of a rejected answer in the loss."""


def check_kto(feedback: Sequence[Pair | Rated], options: KTOOptions) -> None:
    """Raise InputError or TrainingError if the pairs or rated answers and the settings cannot be trained with."""
    check_options(options)
    pairs = [item for item in feedback if isinstance(item, Pair)]
    if pairs or not feedback:
        check_pairs(pairs)
