"""PPO on the lake (Schulman et al., 2017): episodes from the start, the goal's reward of 1, generalised advantages.

Shapes: K seeds, E episodes of each, B = K * E, T moves of an episode, S states, A actions. There is no reference and no
price for leaving it: the reward is the lake's own. An episode that is cut off counts as one that ended there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.frozen_lake.lake import Lake
from trainer.frozen_lake.options import LakeOptions
from trainer.frozen_lake.policy import Networks, generator_of
from trainer.ppo.losses import gae, masked_mean, policy_loss, value_loss, whiten


@dataclass(frozen=True)
class Episodes:
    """What was played; beyond an episode's end the mask is False and nothing counts."""

    states_KET: Tensor  # noqa: N815
    actions_KET: Tensor  # noqa: N815
    rewards_KET: Tensor  # noqa: N815
    mask_KET: Tensor  # noqa: N815


@dataclass(frozen=True)
class Lesson:
    """Episodes, with what the networks that played them thought of each move."""

    episodes: Episodes
    logprobs_KET: Tensor  # noqa: N815
    values_KET: Tensor  # noqa: N815
    advantages_KET: Tensor  # noqa: N815
    returns_KET: Tensor  # noqa: N815


def play(lake: Lake, policy_KSA: Tensor, generators: Sequence[torch.Generator], n: int, horizon: int) -> Episodes:
    """Return `n` episodes of each seed's policy, drawn from its own generator."""
    ladder_KSA, outcomes_SAS = policy_KSA.cumsum(-1), lake.chances_SAS.float().cumsum(-1)
    seeds_K1 = torch.arange(len(policy_KSA))[:, None]
    states_KE = torch.full((len(policy_KSA), n), lake.start)
    draws_KTE2 = torch.stack([torch.rand(horizon, n, 2, generator=one) for one in generators])
    steps = []
    for t in range(horizon):
        alive_KE = lake.acts_S[states_KE]
        if not alive_KE.any():
            break
        actions_KE = _draw(ladder_KSA[seeds_K1, states_KE], draws_KTE2[:, t, :, 0])
        following_KE = _draw(outcomes_SAS[states_KE, actions_KE], draws_KTE2[:, t, :, 1])
        rewards_KE = (alive_KE & (following_KE == lake.goal)).float()
        steps.append((states_KE, actions_KE, rewards_KE, alive_KE))
        states_KE = torch.where(alive_KE, following_KE, states_KE)
    return Episodes(*(torch.stack(column, 2) for column in zip(*steps, strict=True)))


def ppo_loss(
    policies: Networks, values: Networks, lake: Lake, options: LakeOptions, seeds: Sequence[int]
) -> Callable[[], Tensor]:
    """Return the loss of one optimiser step (K,); every `ppo_epochs` calls new episodes are played."""
    generators = [generator_of(seed, "episodes") for seed in seeds]
    n_calls = 0
    lesson: Lesson

    def loss() -> Tensor:
        nonlocal n_calls, lesson
        if n_calls % options.ppo_epochs == 0:
            lesson = _lesson(policies, values, lake, options, generators)
        n_calls += 1
        return _loss(policies, values, lesson, options)

    return loss


@torch.no_grad()
def _lesson(
    policies: Networks, values: Networks, lake: Lake, options: LakeOptions, generators: Sequence[torch.Generator]
) -> Lesson:
    logprobs_KSA = policies.everywhere().log_softmax(-1)
    episodes = play(lake, logprobs_KSA.exp(), generators, options.ppo_episodes, options.horizon)
    logprobs_KET, values_KET = _of_moves(logprobs_KSA, episodes), _of_states(values.everywhere(), episodes)
    flat = [part.flatten(0, 1) for part in (episodes.rewards_KET, values_KET, episodes.mask_KET)]
    found = gae(flat[0], flat[1], flat[2], options.discount, options.gae_lambda)
    advantages_KET, returns_KET = (part_BT.view_as(values_KET) for part_BT in found)
    return Lesson(episodes, logprobs_KET, values_KET, _by_seed(whiten)(advantages_KET, episodes.mask_KET), returns_KET)


def _loss(policies: Networks, values: Networks, lesson: Lesson, options: LakeOptions) -> Tensor:
    logprobs_KET = _of_moves(policies.everywhere().log_softmax(-1), lesson.episodes)
    values_KET = _of_states(values.everywhere(), lesson.episodes)
    moves_KET, _ = policy_loss(logprobs_KET, lesson.logprobs_KET, lesson.advantages_KET, options.ppo_clip)
    states_KET = value_loss(values_KET, lesson.values_KET, lesson.returns_KET, options.ppo_clip)
    return _by_seed(masked_mean)(moves_KET + options.ppo_value_weight * states_KET, lesson.episodes.mask_KET)


def _by_seed(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return a function of one seed's tensors as one of all seeds', which never mix."""
    mapped: Callable[..., Tensor] = torch.vmap(function)
    return mapped


def _of_moves(logprobs_KSA: Tensor, episodes: Episodes) -> Tensor:
    return logprobs_KSA[_seeds(logprobs_KSA), episodes.states_KET, episodes.actions_KET]


def _of_states(values_KS1: Tensor, episodes: Episodes) -> Tensor:
    return values_KS1[_seeds(values_KS1), episodes.states_KET, 0]


def _seeds(values: Tensor) -> Tensor:
    return torch.arange(len(values))[:, None, None]


def _draw(ladder: Tensor, draws: Tensor) -> Tensor:
    """Return which step of each cumulative distribution a number in [0, 1) falls on."""
    return (draws[..., None] * ladder[..., -1:] >= ladder).sum(-1).clamp(max=ladder.shape[-1] - 1)
