"""The optimizer of policy and value model, and the memory that the training takes."""

from pathlib import Path
from types import SimpleNamespace

import torch
from torch import nn
from transformers import Trainer
from transformers.training_args import OptimizerNames

from trainer.ppo.options import USUAL_OPTIMIZER, PPOOptions
from trainer.training.memory.choice import settled
from trainer.training.memory.options import FUSED
from trainer.training.memory.size import Load, MemorySettings


def settled_ppo(parent: Path, options: PPOOptions, title: str) -> MemorySettings:
    """Return the settings with which the model in `parent` is trained here, and say them in a line."""
    load = Load(options.n_tokens, n_trained=2, n_frozen=options.n_frozen, generates=True)
    return settled(parent, options, load, title, usual=USUAL_OPTIMIZER)


def make_optimizer(model: nn.Module, name: str, options: PPOOptions) -> torch.optim.Optimizer:
    """Return the optimizer called `name`, in transformers' words, for the weights of `model` that learn."""
    learning = [weight for weight in model.parameters() if weight.requires_grad]
    if name in (USUAL_OPTIMIZER, FUSED):
        fused = True if name == FUSED else None
        return torch.optim.AdamW(learning, options.learning_rate, eps=options.adam_eps, weight_decay=0.0, fused=fused)
    # TrainingArguments themselves would start accelerate anew
    args = SimpleNamespace(
        optim=OptimizerNames(name),
        optim_args=None,
        learning_rate=options.learning_rate,
        adam_beta1=0.9,
        adam_beta2=0.999,
        adam_epsilon=options.adam_eps,
    )
    kind, settings = Trainer.get_optimizer_cls_and_kwargs(args)
    optimizer: torch.optim.Optimizer = kind(learning, **settings)
    return optimizer
