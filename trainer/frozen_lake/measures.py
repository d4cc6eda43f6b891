"""Measures of how close a trained policy is to the target, one number per seed, and tests of the paper's order.

Shapes: K seeds, S states, A actions. A policy may have further dimensions before these.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from judges.intervals.mean import Mean, mean_of
from trainer.frozen_lake.lake import Lake
from trainer.frozen_lake.losses import move_logprobs
from trainer.frozen_lake.train import TrainedPolicies

MeasuresByMethod = dict[str, dict[str, list[float]]]
"""One value per seed, by method and measure."""
MEASURES = ("mse_all", "mse_visited", "p_optimal", "visits_distance")
PAPER = (("DPO", "IFT"), ("IFT", "ORPO"), ("IFT", "SFT"))
"""Pairs of methods of which the paper ranks the first closer to the optimum (section 5.3)."""


@dataclass(frozen=True)
class PaperClaim:
    """The claim that one method is closer to the target than another, and its test over the seeds."""

    closer: str
    further: str
    difference: Mean
    """The error of `further` minus that of `closer`, paired by seed. It is above 0 if the claim holds."""
    holds: bool | None
    """None if the interval contains 0, or if there is none."""


def policy_error(policy_KSA: Tensor, target_KSA: Tensor, counted_S: Tensor) -> Tensor:
    """Return the mean squared error of the action probabilities over the counted states and all actions (K,)."""
    squared_KSA = (policy_KSA - target_KSA) ** 2
    return squared_KSA[..., counted_S, :].mean((-2, -1))


def target_error(trained: TrainedPolicies) -> float:
    """Return the mean squared error of the trained target against the best policy, averaged over the seeds."""
    return float(policy_error(trained.target_KSA, trained.lake.target_SA, trained.lake.acts_S).mean())


def visited_states(lake: Lake) -> Tensor:
    """Return True for the states of the positive trajectory (S,)."""
    visited_S = torch.zeros_like(lake.acts_S)
    visited_S[list(lake.positive.states)] = True
    return visited_S


def visits(policy_KSA: Tensor, lake: Lake, horizon: int) -> Tensor:
    """Return the share of a policy's moves in each state, over games of at most `horizon` moves (K, S).

    It is computed from the lake's model, not sampled: the explored grid of the paper's section 5.3.
    """
    # Nobody moves on from a hole or the goal.
    chances_KSS = torch.einsum("ksa,sat->kst", policy_KSA.double(), lake.chances_SAS) * lake.acts_S[:, None]
    now_KS = torch.zeros(policy_KSA.shape[:2], dtype=torch.float64)
    now_KS[:, lake.start] = 1
    expected_KS = torch.zeros_like(now_KS)
    for _ in range(horizon):
        now_KS = now_KS * lake.acts_S
        expected_KS += now_KS
        now_KS = torch.einsum("ks,kst->kt", now_KS, chances_KSS)
    return expected_KS / expected_KS.sum(1, keepdim=True)


def measure(trained: TrainedPolicies, horizon: int, *, terminals: bool) -> MeasuresByMethod:
    """Return each method's measures by the names in MEASURES, one value per seed.

    The distance of the visits is the total variation, half the sum of absolute differences, from 0 to 1.
    """
    lake, target_KSA = trained.lake, trained.target_KSA
    counted_S = torch.ones_like(lake.acts_S) if terminals else lake.acts_S
    target_visits_KS = visits(target_KSA, lake, horizon)
    measured = {}
    for method, policies_PKSA in trained.policies_PKSA.items():
        policy_KSA = policies_PKSA[-1]
        apart_KS = (visits(policy_KSA, lake, horizon) - target_visits_KS).abs()
        values = (
            policy_error(policy_KSA, target_KSA, counted_S),
            policy_error(policy_KSA, target_KSA, visited_states(lake)),
            move_logprobs(policy_KSA.log(), lake.positive).sum(1).exp(),
            apart_KS.sum(1) / 2,
        )
        measured[method] = {name: column_K.tolist() for name, column_K in zip(MEASURES, values, strict=True)}
    return measured


def claims(errors: dict[str, list[float]]) -> list[PaperClaim]:
    """Return the paper's claims, tested on one error per seed of each method."""
    return [_claim(closer, further, errors) for closer, further in PAPER]


def order(errors: dict[str, list[float]]) -> str:
    """Return the methods from the closest on, as `DPO < IFT = SFT`. An = joins neighbours without a significant gap."""
    methods = sorted(errors, key=lambda method: sum(errors[method]))
    signs = ["<" if _claim(*pair, errors).holds else "=" for pair in pairwise(methods)]
    return methods[0] + "".join(f" {sign} {method}" for sign, method in zip(signs, methods[1:], strict=True))


def _claim(closer: str, further: str, errors: dict[str, list[float]]) -> PaperClaim:
    difference = mean_of([far - near for near, far in zip(errors[closer], errors[further], strict=True)])
    decided = difference.half is not None and abs(difference.value) > difference.half
    return PaperClaim(closer, further, difference, difference.value > 0 if decided else None)
