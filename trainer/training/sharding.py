"""Models whose weights are sharded over the processes of a training (FSDP 2): their loading and their precision.

The float32 weights of 70 billion parameters are 280 GB, so only one process may read them. The "ram-efficient" loading
of transformers fills the weights of the other processes with zeros, which takes the same memory.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, init_empty_weights
from accelerate.state import PartialState
from accelerate.utils import DistributedType
from accelerate.utils.fsdp_utils import fsdp2_prepare_model
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
    Trainer,
)

from console.errors import InputError
from engines.adapters import weights_folder
from engines.merging import REWARDS, WRITES
from engines.models import FLOAT32
from trainer.training.memory.size import MemorySettings


def check_devices() -> None:
    """Raise InputError if accelerate was told to shard on CPUs: it would silently train whole copies instead."""
    if PartialState().distributed_type in (DistributedType.NO, DistributedType.MULTI_CPU):
        raise InputError(
            "accelerate shards weights on GPUs only; on CPUs leave FSDP out of its file (distributed_type: "
            "MULTI_CPU), or train in one process"
        )


def hollow_model(
    config: PreTrainedConfig, task: str = WRITES, attn: str | None = None, dtype: str = FLOAT32
) -> PreTrainedModel:
    """Return the model of `config` with its shapes alone, in no memory."""
    kind = AutoModelForSequenceClassification if task == REWARDS else AutoModelForCausalLM
    attention = {"attn_implementation": attn} if attn else {}
    with init_empty_weights():
        return kind.from_config(config, dtype=getattr(torch, dtype), **attention)


def unfilled_model(folder: Path, task: str = WRITES, memory: MemorySettings | None = None) -> PreTrainedModel:
    """Return the model in `folder`, or an adapter's base, without its weights, of the type that `memory` says.

    Its tensors take no memory until they are written to. accelerate tells parameters apart by their address, and the
    parameters of a hollow model have none.
    """
    labels = {"num_labels": 1} if task == REWARDS else {}
    config = AutoConfig.from_pretrained(weights_folder(folder), **labels)
    model = hollow_model(config, task, memory.attn if memory else None, memory.dtype if memory else FLOAT32)
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            # the operating system gives memory to an empty tensor only when it is written to
            room = torch.empty_like(parameter, device="cpu")
            setattr(module, name, nn.Parameter(room, requires_grad=parameter.requires_grad))
    model.tie_weights()
    return model


def shard(trainer: Trainer) -> Any:
    """Shard the weights of a trainer's model and return it. It can then generate but not be trained."""
    trainer.model = shard_weights(trainer.accelerator, trainer.model)
    return trainer.model


def shard_weights(accelerator: Accelerator, model: nn.Module) -> Any:
    """Shard the weights of a model and return it. An optimizer has to be made after that."""
    _keep_precision(accelerator)
    return fsdp2_prepare_model(accelerator, model)


def shard_frozen(accelerator: Accelerator, model: PreTrainedModel) -> Any:
    """Shard the weights of a model that is only computed with, such as a reference, and return it."""
    return shard_weights(accelerator, model.requires_grad_(False)).eval()


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor itself, or on the CPU if it is sharded: all processes gather it together."""
    tensor = tensor.detach()
    return tensor.full_tensor().cpu() if isinstance(tensor, DTensor) else tensor


def whole_state(model: nn.Module) -> dict[str, Tensor]:
    """Return the weights of a model, gathered if they are sharded, for which all processes must call it.

    Tied weights stay one tensor.
    """
    state = model.state_dict(keep_vars=True)
    gathered = {id(tensor): tensor for tensor in state.values()}
    gathered = {number: whole(tensor) for number, tensor in gathered.items()}
    return {name: gathered[id(tensor)] for name, tensor in state.items()}


def tied(model: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return `state`, the gathered weights of `model` by name, with one tensor for weights that the model ties."""
    names: dict[int, list[str]] = {}
    for name, weight in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(weight), []).append(name)
    first = {name: same[0] for same in names.values() for name in same}
    return {name: state.get(first.get(name, name), tensor) for name, tensor in state.items()}


@contextmanager
def whole_weights(accelerator: Accelerator, model: Any) -> Iterator[None]:
    """Let each process keep the whole weights that its first forward pass in the block gathers, to the block's end.

    So they are gathered once and not for every token, and processes may generate different numbers of tokens. The
    weights are in the type that the model computes in.
    """
    model.set_reshard_after_forward(False)
    try:
        yield
    finally:
        model.set_reshard_after_forward(bool(accelerator.state.fsdp_plugin.reshard_after_forward))
        reshard(model)


def reshard(model: nn.Module) -> None:
    """Free all gathered weights of a sharded model. After a forward pass without a gradient it keeps some of them."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def keep_precision(trainer: Trainer) -> None:
    """Keep a model's outputs and the sums of its gradients in float32. Call it before the weights are sharded.

    accelerate rounds both to bfloat16, whose three digits make nonsense of a difference of two log-probabilities.
    """
    _keep_precision(trainer.accelerator)


def _keep_precision(accelerator: Accelerator) -> None:
    plugin = accelerator.state.fsdp_plugin
    if plugin.mixed_precision_policy is not None:
        plugin.mixed_precision_policy = replace(
            plugin.mixed_precision_policy, reduce_dtype=torch.float32, output_dtype=None
        )
