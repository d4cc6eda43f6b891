"""Draws the next token of each row with that row's own random numbers."""

import torch
from torch import Tensor

N_TOP = 128


def row_uniforms(seeds: list[int], n_steps: int) -> Tensor:
    """Return uniform numbers in [0, 1), (B, T): the row of a seed is the same in any batch."""
    # From the CPU's generator in float64, so that the numbers are the same on every device.
    draws = [torch.rand(n_steps, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) for seed in seeds]
    return torch.stack(draws)


def draw(logits_BV: Tensor, uniforms_B: Tensor, temperature: float, top_p: float) -> Tensor:
    """Return one token a row, (B,), by inverting the cumulative distribution of the nucleus (Holtzman et al., 2020).

    The nucleus is the smallest set of most likely tokens that holds `top_p` of the mass.
    """
    if temperature == 0:
        return logits_BV.argmax(-1)
    probs_BV = (logits_BV.float() / temperature).softmax(-1)
    if top_p >= 1:
        return _invert(probs_BV, uniforms_B)
    n_top = min(N_TOP, probs_BV.shape[1])
    top_BN, ids_BN = probs_BV.topk(n_top)
    tokens_B = _from_nucleus(top_BN, ids_BN, uniforms_B, top_p)
    # Sorting the whole vocabulary costs as much as the model and is needed only for rows with a flat distribution.
    flat = (top_BN.sum(-1) < top_p).nonzero().squeeze(1)
    if len(flat) and n_top < probs_BV.shape[1]:
        sorted_FV, ids_FV = probs_BV[flat].sort(descending=True)
        tokens_B[flat] = _from_nucleus(sorted_FV, ids_FV, uniforms_B[flat], top_p)
    return tokens_B


def _from_nucleus(sorted_BN: Tensor, ids_BN: Tensor, uniforms_B: Tensor, top_p: float) -> Tensor:
    # The mass before each token: the one that crosses top_p belongs to the nucleus.
    before_BN = sorted_BN.double().cumsum(-1) - sorted_BN
    position_B = _invert(sorted_BN * (before_BN < top_p), uniforms_B)
    return ids_BN.gather(1, position_B[:, None]).squeeze(1)


def _invert(weights_BN: Tensor, uniforms_B: Tensor) -> Tensor:
    total_BN = weights_BN.double().cumsum(-1)  # in float32 the small ones of a large vocabulary would be lost
    target_B1 = (uniforms_B.to(total_BN.device) * total_BN[:, -1])[:, None]
    last_B1 = (weights_BN > 0).long().cumsum(-1).argmax(-1, keepdim=True)  # the last token that has any weight
    return torch.minimum(torch.searchsorted(total_BN, target_B1, right=True), last_B1).squeeze(1)
