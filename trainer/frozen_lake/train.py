"""Trains every method from the same initial weights, one network per seed, and records the policies on the way.

Shapes: P points of the training at which policies are recorded, K seeds, S states, A actions.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from console.errors import TrainingError
from trainer.frozen_lake.lake import Lake
from trainer.frozen_lake.losses import dpo_loss, ift_loss, orpo_loss, sft_loss, target_loss
from trainer.frozen_lake.options import METHODS, LakeOptions
from trainer.frozen_lake.policy import Networks, new_policies, new_values
from trainer.frozen_lake.ppo import ppo_loss

N_POINTS = 50
TARGET_RATE = 1e-2
Advance = Callable[[int], None]


@dataclass(frozen=True)
class TrainedPolicies:
    """The policies of the target and of each method."""

    lake: Lake
    seeds: tuple[int, ...]
    steps_P: tuple[int, ...]  # noqa: N815
    """The steps after which the policies were recorded. The last policies are the final ones."""
    target_KSA: Tensor  # noqa: N815
    policies_PKSA: dict[str, Tensor]  # noqa: N815
    """By method."""


def train_all(
    lake: Lake,
    options: LakeOptions,
    seeds: Sequence[int],
    methods: Sequence[str] = METHODS,
    advance: Advance = lambda _: None,
) -> TrainedPolicies:
    """Train the target and each method from the same initial weights per seed, and return their policies.

    `advance` is called with 1 per trained set of networks (`n_trainings`). Raises TrainingError if weights are not
    numbers any more.
    """
    first = new_policies(lake, options, seeds)
    target = copy.deepcopy(first)  # a copy for each: they all start from these weights
    until_close = replace(options, optimiser="rmsprop", learning_rate=TARGET_RATE, steps=options.target_steps)
    target_PKSA = _fit(
        "target", target, lambda: target_loss(target.everywhere(), lake.target_SA, lake.acts_S), until_close
    )
    advance(1)
    after_sft = copy.deepcopy(first)
    sft_PKSA = _fit("SFT", after_sft, lambda: sft_loss(after_sft.everywhere(), lake.positive), options)
    advance(1)
    start = after_sft if options.start == "sft" else first
    reference = after_sft if options.reference == "sft" else start
    policies_PKSA = {}
    for method in methods:
        if method == "SFT" and options.start == "random":
            policies_PKSA[method] = sft_PKSA
            continue
        policies_PKSA[method] = _train(method, copy.deepcopy(start), reference, lake, options, seeds)
        advance(1)
    return TrainedPolicies(lake, tuple(seeds), tuple(_points(options.steps)), target_PKSA[-1], policies_PKSA)


def n_trainings(options: LakeOptions, methods: Sequence[str] = METHODS) -> int:
    """Return the number of networks that `train_all` trains per seed: target, SFT, and the other methods."""
    return 2 + len([method for method in methods if method != "SFT" or options.start == "sft"])


def _train(
    method: str, policies: Networks, reference: Networks, lake: Lake, options: LakeOptions, seeds: Sequence[int]
) -> Tensor:
    if method == "PPO":
        values = new_values(lake, options, seeds)
        return _fit(method, policies, ppo_loss(policies, values, lake, options, seeds), options, values)
    reference_KSA = reference.everywhere().detach()
    losses: dict[str, Callable[[], Tensor]] = {
        "SFT": lambda: sft_loss(policies.everywhere(), lake.positive),
        "ORPO": lambda: orpo_loss(policies.everywhere(), lake, options.orpo_weight),
        "IFT": lambda: ift_loss(policies, lake, options),
        "DPO": lambda: dpo_loss(policies.everywhere(), reference_KSA, lake, options.dpo_beta),
    }
    return _fit(method, policies, losses[method], options)


def _fit(name: str, policies: Networks, loss: Callable[[], Tensor], options: LakeOptions, *others: Networks) -> Tensor:
    """Train `policies` and `others` together, and return the policies at each point (P, K, S, A)."""
    weights = [weight for part in (policies, *others) for weight in part.parameters() if weight.requires_grad]
    optimiser = _optimiser(weights, options)
    points, policies_PKSA = set(_points(options.steps)), []
    for step in range(options.steps + 1):  # once more, to record the last policies
        if step in points:
            policies_PKSA.append(policies.everywhere().detach().softmax(-1))
        if step == options.steps:
            break
        optimiser.zero_grad()
        losses_K = loss()
        losses_K.sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    if not all(torch.isfinite(weight).all() for weight in weights):
        raise TrainingError(f"{name}: the weights are no longer numbers; try a lower learning rate")
    return torch.stack(policies_PKSA)


def _optimiser(weights: list[torch.nn.Parameter], options: LakeOptions) -> torch.optim.Optimizer:
    kinds: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "rmsprop": torch.optim.RMSprop,
        "adam": torch.optim.Adam,
        "sgd": torch.optim.SGD,
    }
    return kinds[options.optimiser](weights, lr=options.learning_rate)


def _points(steps: int) -> list[int]:
    return sorted({round(steps * point / N_POINTS) for point in range(N_POINTS + 1)})
