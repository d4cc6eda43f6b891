"""The settings of direct preference optimisation, and their check against the pairs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from console.errors import InputError
from console.ranges import NotNegative, Positive
from trainer.preference.columns import LABEL, WEIGHT, check_pairs
from trainer.training.options import ValidatedOptions, check_options

if TYPE_CHECKING:
    from records import Pair


@dataclass(frozen=True)
class DPOOptions(ValidatedOptions):
    """Settings of the training. The defaults are the paper's (Self-Rewarding, section 3.1.4)."""

    learning_rate: Positive = 1e-6
    beta: Positive = 0.1
    """The strength of the pull towards the reference."""
    group_by_length: bool = False
    """Let a step take examples of like length: less is padding, and the order is less random."""
    labels: Literal["hard", "soft"] = "hard"
    """hard: every label is right. soft: a label is right with probability p, the pair's `confidence`, and its loss is
    p l(z) + (1 - p) l(-z)."""
    length_alpha: NotNegative = 0.0
    """Length-regularised DPO: added to z per token that the chosen answer is longer than the rejected one, so that a
    longer answer is pushed up less; 0 is plain DPO."""
    sft_weight: NotNegative = 0.0
    """The weight of the chosen answer's loss per token, added to DPO's (Iterative RPO, 2404.19733, equation 1), so that
    the chosen answers do not become less likely with the rejected ones; 0 is plain DPO."""


def checked_columns(pairs: "Sequence[Pair]", options: DPOOptions) -> list[dict[str, float]]:
    """Return the weight and label columns of each pair, or none if all weights are equal and all labels hard.

    Raises InputError or TrainingError if the pairs and the settings cannot be trained with.
    """
    check_options(options)
    check_pairs(pairs)
    weights = [pair.weight for pair in pairs]
    confidences = [pair.confidence if options.labels == "soft" else 1.0 for pair in pairs]
    labels = [label for label in confidences if label is not None and 0 <= label <= 1]
    if len(labels) < len(pairs):
        raise InputError(
            f"{len(pairs) - len(labels)} of {len(pairs)} pairs have no confidence between 0 and 1, which --labels soft "
            "needs; make the pairs with trainer.pairs, or use --labels hard"
        )
    if options.labels == "hard" and len(set(weights)) == 1:
        return [{}] * len(pairs)
    return [{WEIGHT: weight, LABEL: label} for weight, label in zip(weights, labels, strict=True)]
