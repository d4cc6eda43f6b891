"""The settings of intuitive fine-tuning, those of the paper (arXiv 2405.11870, table 4) unless a docstring differs."""

from dataclasses import dataclass
from typing import Literal, get_args

from console.errors import InputError
from console.ranges import Count, Positive, Share
from trainer.training.options import LossOn, ValidatedOptions, check_options
from trainer.training.processes import is_sharded

Prediction = Literal["greedy", "sampled", "second"]
Variant = Literal["equation", "algorithm", "released"]
"""The ways to weigh tokens, in trainer/ift/propagation.py."""


@dataclass(frozen=True)
class IFTOptions(ValidatedOptions):
    """Settings of the training. recipes/ift_mistral_*.toml have all of the paper's, such as 512 examples per step."""

    learning_rate: Positive = 5e-7
    """The peak of a cosine."""
    final_share: Share = 0.1
    """The end of the cosine as a share of its peak. The paper's ends at 0."""
    max_grad_norm: Positive = 1.0
    """The norm that a longer gradient is clipped to. The paper's is 10."""
    epochs: Count = 3
    loss_on: LossOn = "last"
    """The assistant's turns to learn from: the last one of each conversation, or all, as in the authors' program."""
    max_lambda: Share = 0.2
    """The share of a token's embedding that comes from the model's own prediction; 0 is SFT's input."""
    lambda_schedule: Literal["constant", "linear"] = "constant"
    """linear: from min_lambda at the first step to max_lambda at the last."""
    min_lambda: Share = 0.0
    lambda_noise: Literal["none", "normal"] = "none"
    """normal: lambda times 1 + z / 2 at each step, with z standard normal, clipped to [0, 1]."""
    prediction: Prediction = "greedy"
    """The likeliest token, one drawn at a temperature, or the second likeliest."""
    temperature: Positive = 0.7
    """The temperature of a drawn prediction."""
    decay: Share = 0.95
    """The discount per position of later losses in a token's weight; 0 turns propagation off."""
    variant: Variant = "released"
    """The authors' program (released), the paper's Algorithm 1, or its Eq. 21: see trainer/ift/propagation.py."""
    detach_weights: bool = False
    """Treat the weights of the tokens as constants. In the authors' program the gradient flows through them."""
    average: Literal["tokens", "answers"] = "tokens"
    """The loss is a mean over tokens, as in SFT, or over answers, as in the authors' program."""
    embeddings: Literal["live", "copy"] = "live"
    """The table that embeddings are looked up in, without a gradient. live: the model's own. copy: a copy that is
    refreshed after each optimiser step, as in the authors' program. Both give the same numbers. A copy takes memory."""


def check_ift(options: IFTOptions) -> None:
    """Raise InputError if a setting is out of range."""
    check_options(options)
    check_propagation(options.decay, options.variant)
    if options.embeddings == "copy" and is_sharded():
        raise InputError("--embeddings must be live if the weights are sharded: a copy is the whole table")
    if options.lambda_schedule == "linear" and options.min_lambda > options.max_lambda:
        raise InputError(
            f"--min-lambda must be in [0, --max-lambda], [0, {options.max_lambda}], not {options.min_lambda}"
        )


def check_propagation(decay: float, variant: str) -> None:
    """Raise InputError if the decay is not in [0, 1] or there is no such variant."""
    if not 0 <= decay <= 1:
        raise InputError(f"decay must be in [0, 1], not {decay}")
    if variant not in get_args(Variant):
        raise InputError(f"variant must be one of {', '.join(get_args(Variant))}, not {variant!r}")
