"""float32 weights beside bfloat16 ones, so that no small step of an optimizer is rounded away.

bfloat16 has eight bits of a number: a step below 1/256 of a weight would leave it as it is. The forward and the
backward pass use the bfloat16 weights. While the optimizer works, the float32 ones are in their place.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from transformers import Trainer

from trainer.training.memory.options import ROUNDED

WEIGHT = "float32"
"""The key of a weight's float32 copy in the optimizer's state, with which it is saved and loaded."""
KEPT = "float32_weights"
"""The attribute of a trainer with its Float32Weights."""


class Float32Weights:
    """Keeps the float32 copies of the bfloat16 weights that an optimizer changes."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer
        weights = (weight for group in optimizer.param_groups for weight in group["params"])
        self.weights = [weight for weight in weights if weight.dtype == torch.bfloat16]
        optimizer.register_step_pre_hook(lambda *_: self.widen())
        optimizer.register_step_post_hook(lambda *_: self.narrow())
        # a state that is loaded gets the type of its weight, so that the weight has to be float32 by then
        optimizer.register_load_state_dict_pre_hook(lambda *_: self.widen())
        optimizer.register_load_state_dict_post_hook(lambda *_: self.narrow())

    def widen(self) -> None:
        """Put the float32 weights in the place of the bfloat16 ones, with their gradients."""
        for weight in self.weights:
            gradient, weight.grad = weight.grad, None
            # taken out, because optimizers know a new weight by its empty state
            kept = self.optimizer.state[weight].pop(WEIGHT, None)
            weight.data = weight.data.float() if kept is None else kept
            weight.grad = None if gradient is None else gradient.float()

    def narrow(self) -> None:
        """Put rounded weights in the place of the float32 ones, which are kept. Gradients are dropped."""
        for weight in self.weights:
            weight.grad = None
            kept = self.optimizer.state[weight].pop(WEIGHT, weight.data)
            self.optimizer.state[weight][WEIGHT] = kept
            weight.data = kept.bfloat16()

    @contextmanager
    def wide(self) -> Iterator[None]:
        """Have the float32 weights in the model inside the block, to save them."""
        self.widen()
        try:
            yield
        finally:
            self.narrow()


def keep_float32(trainer: Trainer) -> None:
    """Let the optimizer of `trainer` keep float32 weights, if bfloat16 ones learn and it does not round at random."""
    learning = (weight for weight in trainer.model.parameters() if weight.requires_grad)
    if trainer.args.optim in ROUNDED or not any(weight.dtype == torch.bfloat16 for weight in learning):
        return
    create = trainer.create_optimizer

    # transformers makes the optimizer when training begins, and may ask for it again
    def create_optimizer(*args: Any, **kwargs: Any) -> Any:
        optimizer = create(*args, **kwargs)
        if getattr(trainer, KEPT, None) is None:
            setattr(trainer, KEPT, Float32Weights(optimizer))
        return optimizer

    trainer.create_optimizer = create_optimizer


def wide_weights(trainer: Trainer) -> AbstractContextManager[None]:
    """Return a context in which the model of `trainer` has float32 weights, if they are kept."""
    return wide(getattr(trainer, KEPT, None))


def wide(kept: Float32Weights | None) -> AbstractContextManager[None]:
    """Return a context in which a model has the float32 weights that are kept, if there are any."""
    return nullcontext() if kept is None else kept.wide()
