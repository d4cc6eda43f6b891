"""PPO on the lake (Schulman et al., 2017): episodes from the start, the goal's reward of 1, generalised advantages.

Shapes: K seeds, E episodes per seed, B = K * E, T moves of an episode, S states, A actions. There is no reference model
and no KL penalty: the reward is the lake's own. An episode that is cut off counts as one that ended there.
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
    """Played episodes. After the end of an episode the mask is False and nothing counts."""

    states_KET: Tensor  # noqa: N815
    actions_KET: Tensor  # noqa: N815
    rewards_KET: Tensor  # noqa: N815
    mask_KET: Tensor  # noqa: N815


@dataclass(frozen=True)
class Experience:
    """Episodes with the log-probabilities, values and advantages of each move at the time of play."""

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
    # All draws beforehand, two a move (action, slip), so that no episode's depend on how long the others last.
    draws_KTE2 = torch.stack([torch.rand(horizon, n, 2, generator=generator) for generator in generators])
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
    """Return a function that returns the loss of the next step (K,). Every `ppo_epochs` calls it plays new episodes."""
    generators = [generator_of(seed, "episodes") for seed in seeds]
    n_calls = 0
    experience: Experience

    def loss() -> Tensor:
        nonlocal n_calls, experience
        if n_calls % options.ppo_epochs == 0:
            experience = _experience(policies, values, lake, options, generators)
        n_calls += 1
        return _loss(policies, values, experience, options)

    return loss


@torch.no_grad()
def _experience(
    policies: Networks, values: Networks, lake: Lake, options: LakeOptions, generators: Sequence[torch.Generator]
) -> Experience:
    logprobs_KSA = policies.everywhere().log_softmax(-1)
    episodes = play(lake, logprobs_KSA.exp(), generators, options.ppo_episodes, options.horizon)
    logprobs_KET, values_KET = _of_moves(logprobs_KSA, episodes), _of_states(values.everywhere(), episodes)
    flat = [part.flatten(0, 1) for part in (episodes.rewards_KET, values_KET, episodes.mask_KET)]  # `gae` takes (B, T)
    estimates = gae(flat[0], flat[1], flat[2], options.discount, options.gae_lambda)
    advantages_KET, returns_KET = (estimate_BT.view_as(values_KET) for estimate_BT in estimates)
    advantages_KET = _by_seed(whiten)(advantages_KET, episodes.mask_KET)
    return Experience(episodes, logprobs_KET, values_KET, advantages_KET, returns_KET)


def _loss(policies: Networks, values: Networks, experience: Experience, options: LakeOptions) -> Tensor:
    logprobs_KET = _of_moves(policies.everywhere().log_softmax(-1), experience.episodes)
    values_KET = _of_states(values.everywhere(), experience.episodes)
    moves_KET, _ = policy_loss(logprobs_KET, experience.logprobs_KET, experience.advantages_KET, options.ppo_clip)
    states_KET = value_loss(values_KET, experience.values_KET, experience.returns_KET, options.ppo_clip)
    return _by_seed(masked_mean)(moves_KET + options.ppo_value_weight * states_KET, experience.episodes.mask_KET)


def _by_seed(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return a function of one seed's tensors as a function of all seeds' tensors, which never mix."""
    mapped: Callable[..., Tensor] = torch.vmap(function)
    return mapped


def _of_moves(logprobs_KSA: Tensor, episodes: Episodes) -> Tensor:
    return logprobs_KSA[_seeds(logprobs_KSA), episodes.states_KET, episodes.actions_KET]


def _of_states(values_KS1: Tensor, episodes: Episodes) -> Tensor:
    return values_KS1[_seeds(values_KS1), episodes.states_KET, 0]


def _seeds(values: Tensor) -> Tensor:
    return torch.arange(len(values))[:, None, None]


def _draw(ladder: Tensor, draws: Tensor) -> Tensor:
    """Return the outcome that each draw from [0, 1) selects in its cumulative distribution."""
    # the number of steps at or below the draw, which is scaled because rounding may keep the last step from 1
    return (draws[..., None] * ladder[..., -1:] >= ladder).sum(-1).clamp(max=ladder.shape[-1] - 1)
