"""The settings of supervised fine-tuning."""

from dataclasses import dataclass

from console.errors import InputError
from console.ranges import Positive
from trainer.training.options import LossOn, ValidatedOptions, check_options


@dataclass(frozen=True)
class SFTOptions(ValidatedOptions):
    """Settings of the training. The defaults are the paper's (Self-Rewarding, section 3.1.4)."""

    learning_rate: Positive = 5.5e-6
    loss_on: LossOn = "last"
    """The assistant's turns to learn from: the last one of each conversation, or all."""
    group_by_length: bool = False
    """Let a step take examples of like length: less is padding, and the order is less random."""
    packing: bool = False
    """Put the examples of a micro-batch into one row without padding. They do not see each other, so the loss is the
    same. A model in which they would is refused."""


def check_sft(options: SFTOptions) -> None:
    """Raise InputError if a setting is out of range, or there is nothing to pack."""
    check_options(options)
    if options.packing and options.micro_batch_size == 1:
        raise InputError("--packing joins the examples of a micro-batch: give --micro-batch-size 2 or more")
