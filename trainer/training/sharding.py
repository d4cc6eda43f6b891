"""Models whose weights are dealt out over the processes of a training (FSDP 2): how they are loaded, and how exact.

At 70 billion parameters the float32 weights are 280 GB, so that only one process may read them. transformers' own
"ram-efficient" loading fills the others' with zeros, which takes the same memory.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from console.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, Trainer


def check_devices() -> None:
    """Raise InputError where accelerate was told to shard and would not: on processors it trains whole copies."""
    from accelerate.state import PartialState
    from accelerate.utils import DistributedType

    if PartialState().distributed_type in (DistributedType.NO, DistributedType.MULTI_CPU):
        raise InputError(
            "accelerate shards weights on GPUs only: on processors leave FSDP out of its file (distributed_type: "
            "MULTI_CPU), or train in one process"
        )


def hollow_model(config: "PreTrainedConfig") -> "PreTrainedModel":
    """Return the model of `config` with its shapes alone, in no memory."""
    from accelerate import init_empty_weights
    from transformers import AutoModelForCausalLM

    with init_empty_weights():
        return AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def unfilled_model(folder: Path) -> "PreTrainedModel":
    """Return the model in `folder` without its weights: float32 tensors that take no memory until they are written to.

    accelerate tells parameters apart by their address, which those of a hollow model have not got.
    """
    from transformers import AutoConfig

    model = hollow_model(AutoConfig.from_pretrained(folder))
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            room = torch.empty_like(parameter, device="cpu")
            setattr(module, name, torch.nn.Parameter(room, requires_grad=parameter.requires_grad))
    model.tie_weights()
    return model


def shard(trainer: "Trainer") -> Any:
    """Deal out the weights of a trainer's model, which then answers but cannot be trained, and return it."""
    from accelerate.utils.fsdp_utils import fsdp2_prepare_model

    keep_precision(trainer)
    trainer.model = fsdp2_prepare_model(trainer.accelerator, trainer.model)
    return trainer.model


def keep_precision(trainer: "Trainer") -> None:
    """Leave a model's outputs and the sums of its gradients in float32; call it before the weights are dealt out.

    accelerate has both rounded to bfloat16, whose three digits make nonsense of a difference of two log-probabilities.
    """
    plugin = trainer.accelerator.state.fsdp_plugin
    if plugin.mixed_precision_policy is not None:
        plugin.mixed_precision_policy = replace(
            plugin.mixed_precision_policy, reduce_dtype=torch.float32, output_dtype=None
        )
