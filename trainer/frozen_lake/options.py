"""The settings of the comparison, which the paper leaves open or gives for its language models only."""

from dataclasses import dataclass
from typing import Literal

from console.errors import InputError
from console.ranges import Count, NotNegative, Positive, Share, ShareBetween, check_ranges

PAPER_METHODS = ("SFT", "ORPO", "IFT", "DPO")
"""The methods that the paper ranks."""
METHODS = (*PAPER_METHODS, "PPO")


@dataclass(frozen=True)
class LakeOptions:
    """Settings of the lake, the network, its training, and the comparison."""

    map: str = "ring"
    """ring, fall, pit, stock, or a TOML file with `rows`, `positive` and `negative`, as in trainer/frozen_lake/maps."""
    slippery: bool = False
    """Let a move slip to either side in two of three cases. This changes the best policy and PPO's episodes, but not
    the two trajectories of the map."""
    discount: ShareBetween = 0.95
    """Discount of the reward, below 1, so that a shorter way is better. PPO uses it too."""
    ties: Literal["split", "first"] = "split"
    """The target if two actions are best. split: half for each. first: all for the first (left, down, right, up)."""
    terminals: bool = False
    """Count holes and the goal among all states, although nobody acts and the target is not trained there."""

    hidden: Count = 64
    """Width of the hidden layer."""
    activation: Literal["relu", "tanh"] = "relu"
    coding: Literal["one-hot", "embedding", "coordinates"] = "one-hot"
    """The network's input for a state. embedding: trained with the network. coordinates: row and column."""
    embedding_width: Count = 16
    init_scale: Positive = 1.0
    """Factor on the initial weights, which are those of torch.nn.Linear."""

    start: Literal["random", "sft"] = "random"
    """The weights that a method starts from: the initial ones, or those that SFT ends with."""
    reference: Literal["start", "sft"] = "start"
    """DPO's reference: the weights it starts from, or those that SFT ends with."""
    optimiser: Literal["rmsprop", "adam", "sgd"] = "rmsprop"
    learning_rate: Positive = 1e-3
    steps: Count = 400
    """Optimiser steps per method."""
    target_steps: Count = 400
    """Optimiser steps of the target, always with RMSprop at 0.01, so that it comes close to the best policy."""

    dpo_beta: Positive = 0.1
    orpo_weight: NotNegative = 0.25
    ift_lambda: Share = 0.2
    """The share of a state's code that is replaced by that of the cell the policy would have reached."""
    ift_decay: Share = 0.95
    ift_variant: Literal["released", "algorithm", "equation"] = "released"
    """The released code's loss, the paper's algorithm 1, or its equation 21."""
    ift_detach: bool = False
    """Stop the gradient through the weights of IFT. In the released code it flows."""

    horizon: Count = 100
    """Moves after which an episode ends, gymnasium's own limit for a lake of this size."""
    ppo_episodes: Count = 32
    """Episodes per batch of PPO."""
    ppo_epochs: Count = 4
    """Optimiser steps per batch of episodes."""
    ppo_clip: Positive = 0.2
    ppo_value_weight: NotNegative = 0.1
    gae_lambda: Share = 0.95


def check_lake_options(options: LakeOptions) -> None:
    """Raise InputError if a setting is out of range."""
    check_ranges(options)
    if options.steps % options.ppo_epochs:
        raise InputError(f"steps ({options.steps}) must be a multiple of ppo_epochs ({options.ppo_epochs})")
