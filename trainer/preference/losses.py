"""Preference losses that need no reference model, on mean log-probabilities.

With l the mean log-probability of an answer's tokens, w the chosen answer and r the rejected one, a pair's loss is

    ORPO   (arXiv 2403.07691, Eq. 6-7)   -l_w - weight log sigmoid(odds_w - odds_r),   odds = l - log(1 - exp l)
    SimPO  (arXiv 2405.14734, Eq. 6)     -log sigmoid(beta (l_w - l_r) - gamma)

Shapes: B pairs.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

SUREST = -torch.finfo(torch.float32).eps
"""The highest mean log-probability with finite odds in float32, -1.2e-7."""


def orpo_loss(chosen_B: Tensor, rejected_B: Tensor, weight: float) -> Tensor:
    """Return ORPO's loss of each pair, (B,). It stays finite for a certain answer, whose odds are infinite."""
    return -chosen_B - weight * logsigmoid(log_odds(chosen_B) - log_odds(rejected_B))


def log_odds(logprob_B: Tensor) -> Tensor:
    """Return log(p / (1 - p)) of each log p, (B,). A log p above SUREST counts as SUREST.

    Near p = 1 it uses expm1, because 1 - p would lose its digits there.
    """
    logprob_B = logprob_B.clamp(max=SUREST)
    near_B = logprob_B > -math.log(2)
    # Each branch gets harmless inputs at the other's entries: where() multiplies the unused gradient by 0, and 0 times
    # an infinite gradient is NaN.
    sure_B, unsure_B = torch.where(near_B, logprob_B, -1.0), torch.where(near_B, -1.0, logprob_B)
    log1mexp_B = torch.where(near_B, torch.log(-torch.expm1(sure_B)), torch.log1p(-torch.exp(unsure_B)))
    return logprob_B - log1mexp_B


def simpo_loss(chosen_B: Tensor, rejected_B: Tensor, beta: float, gamma: float) -> Tensor:
    """Return SimPO's loss of each pair, (B,). gamma is the target margin between the rewards."""
    return -logsigmoid(beta * (chosen_B - rejected_B) - gamma)
