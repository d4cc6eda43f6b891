"""The arithmetic of PPO on tensors: rewards, advantages, losses, and logged figures.

Shapes: B answers, T tokens of an answer, V tokens of the vocabulary. `mask_BT` is True on an answer's own tokens
including its end token. Other positions do not count. The value at t is that of the answer before token t is drawn.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

EPS = 1e-8
"""Added to a variance before dividing by it, so that a nearly constant quantity is not blown up to noise."""

MAX_FLOATS = 1 << 22
"""Logits that are converted to float32 at a time."""


def masked_mean(values_BT: Tensor, mask_BT: Tensor, n: int | None = None) -> Tensor:
    """Return the sum over the mask divided by `n`, by default the tokens in it.

    With the `n` of a whole batch the results of its parts add up to the mean of the batch.
    """
    # torch.where, not a product: values outside the mask may be infinite or NaN
    total = torch.where(mask_BT, values_BT, 0).sum()
    return total / (mask_BT.sum() if n is None else n)


def masked_variance(values_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Return the variance over the mask, divided by the number of tokens."""
    return masked_mean((values_BT - masked_mean(values_BT, mask_BT)) ** 2, mask_BT)


def whiten(values_BT: Tensor, mask_BT: Tensor, *, shift_mean: bool = True) -> Tensor:
    """Return the values over their standard deviation, 0 outside the mask. `shift_mean` brings their mean to 0."""
    mean = masked_mean(values_BT, mask_BT)
    whitened = (values_BT - mean) * (masked_variance(values_BT, mask_BT) + EPS).rsqrt()
    return torch.where(mask_BT, whitened if shift_mean else whitened + mean, 0)


def token_rewards(
    score_B: Tensor, logprobs_BT: Tensor, ref_logprobs_BT: Tensor, mask_BT: Tensor, kl_coef: float, *, clamp: bool
) -> Tensor:
    """Return the token rewards: each token's KL penalty, and the answer's score added at its last token."""
    kl_BT = logprobs_BT - ref_logprobs_BT
    rewards_BT = torch.where(mask_BT, -kl_coef * (kl_BT.clamp(min=0) if clamp else kl_BT), 0)
    last_B1 = mask_BT.sum(1, keepdim=True) - 1
    return rewards_BT.scatter_add(1, last_B1, score_B[:, None].to(rewards_BT.dtype))


def gae(
    rewards_BT: Tensor, values_BT: Tensor, mask_BT: Tensor, gamma: float, gae_lambda: float
) -> tuple[Tensor, Tensor]:
    """Return advantages and returns, 0 outside the mask (generalised advantages: Schulman et al., 2016, eq. 16).

    delta_t = r_t + gamma V_{t+1} - V_t, A_t = sum over k of (gamma lambda)^k delta_{t+k}. V is 0 after the last token.
    """
    rewards_BT, values_BT = torch.where(mask_BT, rewards_BT, 0), torch.where(mask_BT, values_BT, 0)
    next_BT = torch.cat((values_BT[:, 1:], torch.zeros_like(values_BT[:, :1])), dim=1)
    delta_BT = rewards_BT + gamma * next_BT - values_BT
    advantages_BT, advantage_B = torch.empty_like(delta_BT), torch.zeros_like(delta_BT[:, 0])
    for t in range(delta_BT.shape[1] - 1, -1, -1):  # backwards, because each advantage contains the next
        advantage_B = delta_BT[:, t] + gamma * gae_lambda * advantage_B
        advantages_BT[:, t] = advantage_B
    return advantages_BT, advantages_BT + values_BT


def policy_loss(logprobs_BT: Tensor, old_BT: Tensor, advantages_BT: Tensor, cliprange: float) -> tuple[Tensor, Tensor]:
    """Return each token's clipped loss, max(-A rho, -A clip(rho)) with rho = p / p_old, and whether it was clipped.

    The source is Schulman et al., 2017, eq. 7.
    """
    ratio_BT = (logprobs_BT - old_BT).exp()
    free_BT = -advantages_BT * ratio_BT
    clipped_BT = -advantages_BT * ratio_BT.clamp(1 - cliprange, 1 + cliprange)
    return torch.maximum(free_BT, clipped_BT), clipped_BT > free_BT


def value_loss(values_BT: Tensor, old_BT: Tensor, returns_BT: Tensor, cliprange: float) -> Tensor:
    """Return each token's loss 0.5 max((V - R)^2, (V' - R)^2). V' is V clipped to within `cliprange` of the old one."""
    held_BT = torch.clamp(values_BT, old_BT - cliprange, old_BT + cliprange)
    return 0.5 * torch.maximum((values_BT - returns_BT) ** 2, (held_BT - returns_BT) ** 2)


def token_logprobs(logits_BTV: Tensor, tokens_BT: Tensor, temperature: float) -> Tensor:
    """Return the log-probability of each token at a temperature, in float32, (B, T)."""
    # only the chosen token's logit and the normaliser, so that no float32 copy of all logits is needed
    chosen_BT = logits_BTV.gather(2, tokens_BT[..., None])[..., 0].float() / temperature
    return chosen_BT - torch.cat([(part_BTV / temperature).logsumexp(-1) for part_BTV in _float_parts(logits_BTV)])


@torch.no_grad()
def entropy(logits_BTV: Tensor, temperature: float) -> Tensor:
    """Return the entropy of each next-token distribution at a temperature, in nats, (B, T)."""
    probabilities = ((part_BTV / temperature).softmax(-1) for part_BTV in _float_parts(logits_BTV))
    return torch.cat([torch.special.entr(part_BTV).sum(-1) for part_BTV in probabilities])


def _float_parts(logits_BTV: Tensor) -> Iterator[Tensor]:
    """Yield all rows in float32, a few at a time, because a float32 copy of the whole batch would not fit."""
    n_rows = max(MAX_FLOATS // logits_BTV[0].numel(), 1)
    return (part_BTV.float() for part_BTV in torch.split(logits_BTV, n_rows))


def approx_kl(logprobs_BT: Tensor, old_BT: Tensor) -> Tensor:
    """Return a non-negative estimate of KL(old || new) per token from draws of the old policy: rho - 1 - log rho."""
    log_ratio_BT = logprobs_BT - old_BT
    return log_ratio_BT.exp() - 1 - log_ratio_BT


def explained_variance(values_BT: Tensor, returns_BT: Tensor, mask_BT: Tensor) -> float | None:
    """Return 1 - Var(R - V) / Var(R), at most 1, or None if the returns do not vary."""
    variance = masked_variance(returns_BT, mask_BT)
    if variance <= EPS:
        return None
    return float(1 - masked_variance(returns_BT - values_BT, mask_BT) / variance)
