"""The settings of intuitive fine-tuning; the paper's (arXiv 2405.11870, table 4) where nothing else is said."""

from dataclasses import dataclass
from typing import Literal

from console.errors import InputError
from console.ranges import Count, Positive, Share
from trainer.ift.propagation import Variant, check_propagation
from trainer.training.options import TrainingOptions, check_options

Prediction = Literal["greedy", "sampled", "second"]


@dataclass(frozen=True)
class IFTOptions(TrainingOptions):
    """How to fine-tune; the paper has 512 examples a step. recipes/ift_mistral_*.toml have all that is the paper's."""

    learning_rate: Positive = 5e-7
    """The peak of a cosine."""
    final_share: Share = 0.1
    """Where the cosine ends, as a share of its peak; the paper's ends at 0."""
    max_grad_norm: Positive = 1.0
    """A longer gradient is shortened to this; the paper's is 10."""
    epochs: Count = 3
    optimizer: Literal["adamw", "rmsprop"] = "adamw"
    """The paper's is rmsprop."""
    turns: Literal["last", "all"] = "last"
    """The assistant's turns to learn from; all is the authors' program."""
    max_lambda: Share = 0.2
    """How much of a token's embedding is that of the model's own prediction; 0 is SFT's input."""
    lambda_schedule: Literal["constant", "linear"] = "constant"
    """linear: from min_lambda at the first step to max_lambda at the last."""
    min_lambda: Share = 0.0
    lambda_noise: Literal["none", "normal"] = "none"
    """normal: times 1 + z / 2 at each step, z of the standard normal distribution, kept in [0, 1]."""
    prediction: Prediction = "greedy"
    """The likeliest token, one drawn at a temperature, or the second likeliest."""
    temperature: Positive = 0.7
    """Of a prediction that is drawn."""
    decay: Share = 0.95
    """How fast a token's answering for later ones fades; 0 is off."""
    variant: Variant = "released"
    """The authors' program, the paper's Algorithm 1, or its Eq. 21: see trainer/ift/propagation.py."""
    detach_weights: bool = False
    """Take the weights of the tokens for constants; the authors' program has the gradient flow through them."""
    average: Literal["tokens", "answers"] = "tokens"
    """What the loss is a mean over: tokens, as in SFT, or answers, as in the authors' program."""
    embeddings: Literal["live", "copy"] = "live"
    """Where embeddings are looked up, without a gradient: in the model, or in a copy of its table that is made again
    after each optimiser step, as in the authors' program. Both give the same numbers; a copy takes memory."""


def check_ift(options: IFTOptions) -> None:
    """Raise InputError where a setting is out of range."""
    check_options(options)
    check_propagation(options.decay, options.variant)
    if options.lambda_schedule == "linear" and options.min_lambda > options.max_lambda:
        raise InputError(f"min_lambda must be in [0, max_lambda], [0, {options.max_lambda}], not {options.min_lambda}")
