"""Weighs the losses of an answer's tokens, so that an early token counts for the losses after it.

With l the loss of a target token, g the decay and N the number of targets in a row, the three variants are

    equation   (arXiv 2405.11870, Eq. 21)       sum_t l_t sum_{n <= t} g^(t-n)     later tokens weigh more
    algorithm  (its Algorithm 1)                sum_t l_t C_t                      earlier tokens weigh more
    released   (the authors' program)           sum_t l_t C_t / sum_t C_t          the same, of weights that average 1

    C_t = l_t + g C_{t+1}

The exponent counts positions, so a gap between two turns of the assistant decays too. Algorithm 1 prints g^(N-t), but
the authors' program has g^(i-t), and so has this module. A decay of 0 turns propagation off: every weight is 1.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from console.errors import InputError
from trainer.ift.options import Variant, check_propagation


@dataclass(frozen=True)
class Propagated:
    """The loss of a batch and the weight of each token in it."""

    loss: Tensor
    """Mean over the rows that have a target, (). A row's loss is its sum of weight times loss, over N in `released`."""
    weights_BT: Tensor  # noqa: N815
    """0 at tokens that are no target. The gradient flows through them unless they are detached."""


def propagate(
    token_losses_BT: Tensor,
    mask_BT: Tensor,
    decay: float = 0.95,
    variant: Variant = "released",
    detach: bool = False,
    weight_B: Tensor | None = None,
) -> Propagated:
    """Return the loss of B rows of T tokens with propagation, and the weight of each token, in float32 or more.

    `mask_BT` is True at the targets. Other positions may hold anything, even NaN. The gradient flows through the
    weights too, as in the authors' program, unless `detach` is set. `weight_B` multiplies the loss of each row. A row
    without a target does not count, and a batch without any has the loss 0. Raises InputError for a decay outside
    [0, 1], an unknown variant, or a mask of another shape.
    """
    check_propagation(decay, variant)
    if mask_BT.shape != token_losses_BT.shape:
        shapes = f"{tuple(token_losses_BT.shape)}, not {tuple(mask_BT.shape)}"
        raise InputError(f"mask_BT must have the shape of token_losses_BT, {shapes}")
    mask_BT = mask_BT.bool()
    dtype = torch.promote_types(token_losses_BT.dtype, torch.float32)
    # torch.where, not a product: a loss outside the mask may be infinite or NaN
    losses_BT = torch.where(mask_BT, token_losses_BT.to(dtype), 0)
    n_targets_B1 = mask_BT.sum(1, keepdim=True)
    weights_BT = _weights(losses_BT.detach() if detach else losses_BT, mask_BT, n_targets_B1, decay, variant)
    weights_BT = torch.where(mask_BT, weights_BT, 0)
    if weight_B is not None:
        weights_BT = weights_BT * weight_B[:, None]
    loss_B = (losses_BT * weights_BT).sum(1)
    if variant == "released":
        loss_B = loss_B / n_targets_B1[:, 0].clamp(min=1)
    return Propagated(loss_B.sum() / (n_targets_B1 > 0).sum().clamp(min=1), weights_BT)


def _weights(losses_BT: Tensor, mask_BT: Tensor, n_targets_B1: Tensor, decay: float, variant: Variant) -> Tensor:
    if decay == 0:
        return torch.ones_like(losses_BT)
    if variant == "equation":
        return discounted_sums(mask_BT.to(losses_BT.dtype).flip(1), decay).flip(1)  # flipped: of the targets before
    sums_BT = discounted_sums(losses_BT, decay)
    if variant == "algorithm":
        return sums_BT
    sums_BT = torch.where(mask_BT, sums_BT, 0)
    total_B1 = sums_BT.sum(1, keepdim=True)
    # the total is 0 without a target, and for an answer that the model is entirely sure of
    return sums_BT * n_targets_B1 / torch.where(total_B1 > 0, total_B1, 1)


def discounted_sums(values_BT: Tensor, decay: float) -> Tensor:
    """Return C_t = x_t + decay C_{t+1} of each row, (B, T), in log2 T steps.

    After step k an entry holds the sum over the next 2^k positions. Sums are multiplied by powers of the decay and
    never divided by them, so nothing overflows when the powers of a long row vanish.
    """
    reach = 1
    while reach < values_BT.shape[1]:
        values_BT = values_BT + decay**reach * pad(values_BT[:, reach:], (0, reach))
        reach *= 2
    return values_BT
