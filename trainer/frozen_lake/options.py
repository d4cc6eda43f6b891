"""The settings of the comparison: each is one that the paper leaves open, or names as that of its language models."""

from dataclasses import asdict, dataclass
from typing import Literal

from console.errors import InputError

PAPER_METHODS = ("SFT", "ORPO", "IFT", "DPO")
"""Those that the paper puts in order."""
METHODS = (*PAPER_METHODS, "PPO")
MAY_BE_0 = {"ift_lambda", "orpo_weight", "ift_decay", "gae_lambda", "ppo_value_weight"}
AT_MOST_1 = {"discount", "ift_lambda", "ift_decay", "gae_lambda"}


@dataclass(frozen=True)
class LakeOptions:
    """The lake, the network, how it is trained, and what is compared."""

    map: str = "ring"
    """ring, fall, pit, stock, or a TOML file with `rows`, `positive` and `negative`, as in trainer/frozen_lake/maps."""
    slippery: bool = False
    """A move goes to either side in two of three cases; this changes the best policy and what PPO sees, while the two
    trajectories stay those of the map."""
    discount: float = 0.95
    """Of the reward, below 1, so that a shorter way is better; also PPO's."""
    ties: Literal["split", "first"] = "split"
    """Where two actions are best: each has half of the target, or the first has all (left, down, right, up)."""
    terminals: bool = False
    """Count holes and the goal among all states; nobody acts there, and the target is not trained there."""

    hidden: int = 64
    """Width of the layer between."""
    activation: Literal["relu", "tanh"] = "relu"
    coding: Literal["one-hot", "embedding", "coordinates"] = "one-hot"
    """What the network sees of a state; an embedding is trained with the network, coordinates are row and column."""
    embedding_width: int = 16
    init_scale: float = 1.0
    """Multiplies the first weights, which are those of torch.nn.Linear."""

    start: Literal["random", "sft"] = "random"
    """What a method starts from: the first weights, or those that SFT ends with."""
    reference: Literal["start", "sft"] = "start"
    """DPO's reference: what it starts from, or what SFT ends with."""
    optimiser: Literal["rmsprop", "adam", "sgd"] = "rmsprop"
    learning_rate: float = 1e-3
    steps: int = 400
    """Optimiser steps of each method."""
    target_steps: int = 400
    """Optimiser steps of the target, which are always RMSprop's with a learning rate of 0.01: it is to be reached."""

    dpo_beta: float = 0.1
    orpo_weight: float = 0.25
    ift_lambda: float = 0.2
    """How much of a state's code is replaced by that of the cell the policy would have reached."""
    ift_decay: float = 0.95
    ift_variant: Literal["released", "algorithm", "equation"] = "released"
    """The released code's loss, the paper's algorithm 1, or its equation 21."""
    ift_detach: bool = False
    """No gradient through the weights of IFT; the released code has one."""

    horizon: int = 100
    """Moves after which an episode ends; gymnasium's own limit for a lake of this size."""
    ppo_episodes: int = 32
    """Episodes that are played before PPO learns from them."""
    ppo_epochs: int = 4
    """Optimiser steps on them."""
    ppo_clip: float = 0.2
    ppo_value_weight: float = 0.1
    gae_lambda: float = 0.95


def check_lake_options(options: LakeOptions) -> None:
    """Raise InputError where a setting is out of range."""
    for name, value in asdict(options).items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if value < 0 or (value == 0 and name not in MAY_BE_0) or value != value:
            raise InputError(f"{name} must be {'0 or more' if name in MAY_BE_0 else 'above 0'}, not {value}")
        if name in AT_MOST_1 and value > 1:
            raise InputError(f"{name} must be at most 1, not {value}")
    if options.discount == 1:
        raise InputError("discount must be below 1: without it a longer way is as good as a shorter one")
    if options.steps % options.ppo_epochs:
        raise InputError(f"steps ({options.steps}) must be a multiple of ppo_epochs ({options.ppo_epochs})")
