"""The losses of the methods on one trajectory or two, one number per seed.

Shapes: K seeds, S states, A actions, N moves of a trajectory, D numbers that encode a state. IFT's propagation is that
of `trainer.ift.propagation`, PPO's arithmetic that of `trainer.ppo.losses`.
"""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from trainer.frozen_lake.lake import Lake, Trajectory
from trainer.frozen_lake.options import LakeOptions
from trainer.frozen_lake.policy import Networks
from trainer.ift.propagation import propagate
from trainer.preference import losses as pair_losses


def move_logprobs(logits_KSA: Tensor, trajectory: Trajectory) -> Tensor:
    """Return log pi(a_n|s_n) of each move (K, N)."""
    logprobs_KSA: Tensor = logits_KSA.log_softmax(-1)
    return logprobs_KSA[:, list(trajectory.states), list(trajectory.actions)]


def target_loss(logits_KSA: Tensor, target_SA: Tensor, acts_S: Tensor) -> Tensor:
    """Return the cross-entropy with the best policy, averaged over the states in which the game continues (K,).

    It trains the paper's optimal parameterised policy (section 5.3).
    """
    crossed_KS = -(target_SA.float() * logits_KSA.log_softmax(-1)).sum(-1)
    return crossed_KS[:, acts_S].mean(1)


def sft_loss(logits_KSA: Tensor, positive: Trajectory) -> Tensor:
    """Return -(1/N) sum of log pi(a|s) over the positive trajectory (K,)."""
    return -move_logprobs(logits_KSA, positive).mean(1)


def dpo_loss(logits_KSA: Tensor, reference_KSA: Tensor, lake: Lake, beta: float) -> Tensor:
    """Return -log sigmoid(beta (gain of the positive - gain of the negative trajectory)) (K,).

    A gain is log pi - log pi_ref, summed over the moves (Rafailov et al., 2023, equation 7).
    """
    gains = [
        (move_logprobs(logits_KSA, way) - move_logprobs(reference_KSA, way)).sum(1)
        for way in (lake.positive, lake.negative)
    ]
    return -logsigmoid(beta * (gains[0] - gains[1]))


def orpo_loss(logits_KSA: Tensor, lake: Lake, weight: float) -> Tensor:
    """Return SFT's loss - weight log sigmoid(log odds ratio) (K,). The odds are p / (1 - p) of p = exp(mean log pi).

    The source is Hong et al., 2024 (arXiv 2403.07691), equations 6 and 7.
    """
    good_K, bad_K = (move_logprobs(logits_KSA, way).mean(1) for way in (lake.positive, lake.negative))
    return pair_losses.orpo_loss(good_K, bad_K, weight)


def ift_loss(policies: Networks, lake: Lake, options: LakeOptions) -> Tensor:
    """Return the loss of Intuitive Fine-Tuning on the positive trajectory (arXiv 2405.11870), averaged over seeds (K,).

    The policy sees each state mixed with the one that its own greedy move would have reached (equation 17), and the
    losses of the moves are propagated along the trajectory. The mean is repeated once per seed, so that the sum over
    seeds is right.
    """
    losses_KN = -_fused_logprobs(policies, lake, options.ift_lambda)
    every_KN = torch.ones_like(losses_KN, dtype=torch.bool)
    mean = propagate(losses_KN, every_KN, options.ift_decay, options.ift_variant, options.ift_detach).loss
    return mean.expand(len(losses_KN))


def fused_codes(codes_KSD: Tensor, logits_KSA: Tensor, lake: Lake, mix: float) -> Tensor:
    """Return (1 - mix) code of s_n + mix code of the state that the greedy move from s_{n-1} reaches (K, N, D).

    The first is s_0. Nothing has a gradient, as in the released code, which reads a frozen copy of the embeddings.
    """
    states = torch.tensor(lake.positive.states)
    greedy_KN = logits_KSA[:, states[:-1]].argmax(-1)
    reached_KN = torch.cat((states[:1].expand(len(logits_KSA), 1), lake.moves_SA[states[:-1], greedy_KN]), 1)
    seeds_K1 = torch.arange(len(logits_KSA))[:, None]
    return ((1 - mix) * codes_KSD[:, states] + mix * codes_KSD[seeds_K1, reached_KN]).detach()


def _fused_logprobs(policies: Networks, lake: Lake, mix: float) -> Tensor:
    with torch.no_grad():
        # the greedy moves need no gradient, and the fused codes have none
        codes_KND = fused_codes(policies.codes_KSD, policies.everywhere(), lake, mix)
    logprobs_KNA: Tensor = policies(codes_KND).log_softmax(-1)
    actions = torch.tensor(lake.positive.actions).expand(len(codes_KND), -1)
    return logprobs_KNA.gather(2, actions[..., None])[..., 0]
