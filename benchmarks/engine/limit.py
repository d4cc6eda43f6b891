"""What the processor can do at most, in the matrix products of the model itself."""

import time
from typing import Any

import torch

ROWS = (256, 512, 1024)
"""The numbers of tokens that are tried. The fastest counts."""


def layers_of(model: Any) -> list[torch.Tensor]:
    """Return the weights of every linear layer but the last one, which gives the logits."""
    head = model.get_output_embeddings()
    return [part.weight for part in model.modules() if isinstance(part, torch.nn.Linear) and part is not head]


@torch.inference_mode()
def flops_per_cpu_s(weights: list[torch.Tensor]) -> float:
    """Return the most operations in a processor second of float32 products of tokens with these weights, in turn."""
    return max(_speed(weights, n_rows) for n_rows in ROWS)


def _speed(weights: list[torch.Tensor], n_rows: int) -> float:
    tokens = {weight.shape[1]: torch.randn(n_rows, weight.shape[1]) for weight in weights}
    started = time.process_time()
    for weight in weights:
        torch.matmul(tokens[weight.shape[1]], weight.T)
    return flops(sum(weight.numel() for weight in weights), n_rows) / (time.process_time() - started)


def flops(n_weights: int, n_tokens: int) -> int:
    """Return the operations that a model needs for tokens: a product and a sum a weight."""
    return 2 * n_weights * n_tokens
