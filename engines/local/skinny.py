"""Makes the linear layers of a model fast for the few rows of a decoding step on a processor.

MKL takes up to twice as long for a handful of rows times a transposed weight as for the weight times the transposed
rows, although the products are the same. With one thread it does not. `benchmarks/skinny.py` measures it.
"""

import torch
from torch import Tensor, nn

MAX_ROWS = 48
"""From 64 rows on the usual way is the faster one."""


class SkinnyLinear(nn.Linear):
    """A linear layer that computes weight @ rows.T, transposed, if its input has few rows."""

    def forward(self, rows: Tensor) -> Tensor:
        """Return rows @ weight.T + bias, (..., out)."""
        n_rows = rows.numel() // self.in_features
        if n_rows > MAX_ROWS or torch.get_num_threads() == 1:
            return super().forward(rows)
        # R rows, O outputs. The result lies column by column, and `view` below needs it row by row.
        product_RO = (self.weight @ rows.reshape(n_rows, self.in_features).T).T.contiguous()
        if self.bias is not None:
            product_RO += self.bias
        return product_RO.view(*rows.shape[:-1], self.out_features)


def use_skinny_linears(model: nn.Module) -> None:
    """Turn every plain linear layer of `model` into a SkinnyLinear, in place and without copying weights."""
    for module in model.modules():
        if type(module) is nn.Linear:  # a subclass, such as a quantised layer, computes otherwise
            module.__class__ = SkinnyLinear  # no new module, so hooks, tied weights and names of parameters stay
