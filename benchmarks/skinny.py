"""The linear layers of a 135M model for a few rows: rows @ weight.T against (weight @ rows.T).T.

python -m benchmarks.skinny
"""

import time
from collections.abc import Callable
from statistics import median

import torch

from benchmarks.side import arguments
from console.table import Cell, print_table

LAYER = [(576, 576), (576, 192), (576, 192), (576, 576), (576, 1536), (576, 1536), (1536, 576)]
"""Input and output width of each linear layer of one of SmolLM2-135M's 30 blocks."""
ROWS = (1, 8, 16, 32, 48, 64, 128)


def main() -> None:
    weights = [torch.randn(n_out, n_in) for _ in range(30) for n_in, n_out in LAYER]
    print_table([measured(weights, n_rows) for n_rows in ROWS])


def measured(weights: list[torch.Tensor], n_rows: int) -> dict[str, Cell]:
    """Return a table row: the medians of seven turns each, because the machine's speed drifts."""
    rows = {width: torch.randn(n_rows, width) for width in (576, 1536)}
    usual, turned = [], []
    for _ in range(7):
        usual.append(milliseconds(lambda: [rows[w.shape[1]] @ w.T for w in weights]))
        turned.append(milliseconds(lambda: [(w @ rows[w.shape[1]].T).T.contiguous() for w in weights]))
    a, b = median(usual), median(turned)
    return {"rows": n_rows, "rows @ weight.T, ms": a, "turned round, ms": b, "ratio": a / b}


def milliseconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - started)


if __name__ == "__main__":
    arguments(__doc__)
    main()
