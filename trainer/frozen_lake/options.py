"""The settings of the comparison: each is one that the paper leaves open, or names as that of its language models."""

from dataclasses import dataclass
from typing import Literal

from console.errors import InputError
from console.ranges import Count, NotNegative, Positive, Share, ShareBetween, check_ranges

PAPER_METHODS = ("SFT", "ORPO", "IFT", "DPO")
"""Those that the paper puts in order."""
METHODS = (*PAPER_METHODS, "PPO")


@dataclass(frozen=True)
class LakeOptions:
    """The lake, the network, how it is trained, and what is compared."""

    map: str = "ring"
    """ring, fall, pit, stock, or a TOML file with `rows`, `positive` and `negative`, as in trainer/frozen_lake/maps."""
    slippery: bool = False
    """A move goes to either side in two of three cases; this changes the best policy and what PPO sees, while the two
    trajectories stay those of the map."""
    discount: ShareBetween = 0.95
    """Of the reward, below 1, so that a shorter way is better; also PPO's."""
    ties: Literal["split", "first"] = "split"
    """Where two actions are best: each has half of the target, or the first has all (left, down, right, up)."""
    terminals: bool = False
    """Count holes and the goal among all states; nobody acts there, and the target is not trained there."""

    hidden: Count = 64
    """Width of the layer between."""
    activation: Literal["relu", "tanh"] = "relu"
    coding: Literal["one-hot", "embedding", "coordinates"] = "one-hot"
    """What the network sees of a state; an embedding is trained with the network, coordinates are row and column."""
    embedding_width: Count = 16
    init_scale: Positive = 1.0
    """Multiplies the first weights, which are those of torch.nn.Linear."""

    start: Literal["random", "sft"] = "random"
    """What a method starts from: the first weights, or those that SFT ends with."""
    reference: Literal["start", "sft"] = "start"
    """DPO's reference: what it starts from, or what SFT ends with."""
    optimiser: Literal["rmsprop", "adam", "sgd"] = "rmsprop"
    learning_rate: Positive = 1e-3
    steps: Count = 400
    """Optimiser steps of each method."""
    target_steps: Count = 400
    """Optimiser steps of the target, which are always RMSprop's with a learning rate of 0.01: it is to be reached."""

    dpo_beta: Positive = 0.1
    orpo_weight: NotNegative = 0.25
    ift_lambda: Share = 0.2
    """How much of a state's code is replaced by that of the cell the policy would have reached."""
    ift_decay: Share = 0.95
    ift_variant: Literal["released", "algorithm", "equation"] = "released"
    """The released code's loss, the paper's algorithm 1, or its equation 21."""
    ift_detach: bool = False
    """No gradient through the weights of IFT; the released code has one."""

    horizon: Count = 100
    """Moves after which an episode ends; gymnasium's own limit for a lake of this size."""
    ppo_episodes: Count = 32
    """Episodes that are played before PPO learns from them."""
    ppo_epochs: Count = 4
    """Optimiser steps on them."""
    ppo_clip: Positive = 0.2
    ppo_value_weight: NotNegative = 0.1
    gae_lambda: Share = 0.95


def check_lake_options(options: LakeOptions) -> None:
    """Raise InputError where a setting is out of range."""
    check_ranges(options)
    if options.steps % options.ppo_epochs:
        raise InputError(f"steps ({options.steps}) must be a multiple of ppo_epochs ({options.ppo_epochs})")
