"""The multi-view information bottleneck of RLP-UML (arXiv 2403.19279), and the objectives that its table 4 compares.

Two answers of the policy to one prompt are two views v1, v2 of it. An encoder gives p(z|v) = N(mu(v), diag
sigma(v)^2). The term to minimise is

    L_M = -I(z1; z2) + (KL(p(z|v1) || p(z|v2)) + KL(p(z|v2) || p(z|v1))) / 2

The representation keeps the information that z1 and z2 share and drops the information that tells the views apart
(Federici et al. 2020, arXiv 2002.07017). A critic T estimates I. It is trained on the Jensen-Shannon bound (Hjelm et
al. 2018, arXiv 1808.06670). The logged figure is another bound, E[T] - E'[exp T] + 1. It equals the mutual information
if T is the log-ratio of the densities, which is the first bound's optimum. E' is over views of different prompts.

Shapes: V view pairs, D features, Z dimensions of z. All tensors are float32 and all figures in nats.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torch.nn import functional

from trainer.reward_model.bottleneck_options import BottleneckOptions

MIN_SCALE = 1e-7
"""Added to sigma (from Federici et al.)."""


@dataclass(frozen=True)
class Term:
    """The loss term of a batch of view pairs."""

    loss: Tensor
    """L_M of the objective, a scalar."""
    figures: dict[str, Tensor]
    """mutual_information: the logged bound. bound: the maximised bound. divergence: SKL."""


class Bottleneck(nn.Module):
    """The encoder and the critic: nets of three layers, discarded after training.

    mu and sigma have a net each, as in the paper. Federici et al. share the first layers.
    """

    def __init__(self, n_features: int, options: BottleneckOptions) -> None:
        super().__init__()
        self.options = options
        width, z_dim = options.width_for(n_features), options.z_dim
        self.mean = three_layers(n_features, width, z_dim)
        if options.objective != "contrastive":
            self.scale = three_layers(n_features, width, z_dim)
            n_left = n_features if options.objective == "infomax" else z_dim
            self.critic = three_layers(n_left + z_dim, width, 1)

    def encode(self, view_VD: Tensor) -> Normal:
        """Return p(z|v) of each view: independent normal distributions, (V, Z)."""
        sigma_VZ = functional.softplus(self.scale(view_VD)) + MIN_SCALE
        return Normal(self.mean(view_VD), sigma_VZ)

    def forward(self, first_VD: Tensor, second_VD: Tensor) -> Term:
        """Return the term of V view pairs. Row i of both tensors belongs to one prompt. V must be at least 2."""
        objective = self.options.objective
        if objective == "contrastive":
            return contrastive(self.mean(first_VD), self.mean(second_VD), self.options.temperature)
        if objective == "infomax":
            view_VD = torch.cat([first_VD, second_VD])
            bound, reported = self.information(view_VD, self.encode(view_VD).rsample())
            return Term(-bound, {"mutual_information": reported, "bound": bound.detach()})
        first, second = self.encode(first_VD), self.encode(second_VD)
        z1_VZ, z2_VZ = first.rsample(), second.rsample()
        bound, reported = self.information(z1_VZ, z2_VZ)
        if self.options.divergence == "analytic":
            divergence = symmetric_kl(first, second).mean()
        else:
            divergence = sampled_symmetric_kl(first, second, z1_VZ, z2_VZ).mean()
        loss = -bound if objective == "mvi" else divergence - bound
        return Term(loss, {"mutual_information": reported, "bound": bound.detach(), "divergence": divergence.detach()})

    def information(self, left_VX: Tensor, right_VZ: Tensor) -> tuple[Tensor, Tensor]:
        """Return the Jensen-Shannon bound to train on and the mutual information to report, both scalars."""
        positive_V = self._critic(left_VX, right_VZ)
        if self.options.negatives == "roll":
            negative_N = self._critic(left_VX.roll(1, 0), right_VZ)  # neighbours have different prompts
        else:
            # every left view with every right view of another prompt: V (V - 1) negatives
            n = len(left_VX)
            all_NX, all_NZ = left_VX.repeat_interleave(n, 0), right_VZ.repeat(n, 1)
            others_N = ~torch.eye(n, dtype=torch.bool, device=left_VX.device).flatten()
            negative_N = self._critic(all_NX[others_N], all_NZ[others_N])
        return jensen_shannon(positive_V, negative_N), reported_information(positive_V, negative_N)

    def _critic(self, left_NX: Tensor, right_NZ: Tensor) -> Tensor:
        score_N: Tensor = self.critic(torch.cat([left_NX, right_NZ], 1))[:, 0]
        return score_N


def three_layers(n_in: int, width: int, n_out: int) -> nn.Sequential:
    """Return a net of three linear layers, the shape of every part of the bottleneck."""
    return nn.Sequential(nn.Linear(n_in, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, n_out))


def jensen_shannon(positive_V: Tensor, negative_N: Tensor) -> Tensor:
    """Return the bound -E[softplus(-T)] - E'[softplus(T)], at most 0. At the optimal T it is 2 JSD - 2 log 2."""
    return -functional.softplus(-positive_V).mean() - functional.softplus(negative_N).mean()


def reported_information(positive_V: Tensor, negative_N: Tensor) -> Tensor:
    """Return E[T] - E'[exp T] + 1 without a gradient, a lower bound of mutual information (Nguyen et al. 2010)."""
    # In float32 the exponential of 89 is infinite.
    return positive_V.detach().mean() - negative_N.detach().double().exp().mean() + 1


def symmetric_kl(first: Normal, second: Normal) -> Tensor:
    """Return the mean of KL(p1 || p2) and KL(p2 || p1) per pair of distributions, (V,)."""
    both_VZ: Tensor = (kl_divergence(first, second) + kl_divergence(second, first)) / 2
    return both_VZ.sum(1)


def sampled_symmetric_kl(first: Normal, second: Normal, z1_VZ: Tensor, z2_VZ: Tensor) -> Tensor:
    """Return an estimate of the symmetric KL from one draw per distribution, (V,)."""
    forth_VZ = _log_prob(first, z1_VZ) - _log_prob(second, z1_VZ)
    back_VZ = _log_prob(second, z2_VZ) - _log_prob(first, z2_VZ)
    return (forth_VZ + back_VZ).sum(1) / 2


def contrastive(first_VZ: Tensor, second_VZ: Tensor, temperature: float) -> Term:
    """Return InfoNCE on cosines, both ways: each view must find its partner among the V (arXiv 1807.03748).

    The mutual information that it logs is at most log V.
    """
    cosine_VV = functional.normalize(first_VZ, dim=1) @ functional.normalize(second_VZ, dim=1).T
    target_V = torch.arange(len(cosine_VV), device=cosine_VV.device)
    logits_VV = cosine_VV / temperature
    loss = (functional.cross_entropy(logits_VV, target_V) + functional.cross_entropy(logits_VV.T, target_V)) / 2
    bound = -loss.detach()
    return Term(loss, {"mutual_information": math.log(len(cosine_VV)) + bound, "bound": bound})


def _log_prob(distribution: Normal, z_VZ: Tensor) -> Tensor:
    density_VZ: Tensor = distribution.log_prob(z_VZ)  # type: ignore[no-untyped-call]
    return density_VZ
