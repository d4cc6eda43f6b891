"""Adapters in training: the model with a new adapter, or with the one that its parent is, and the folder it becomes."""

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.utils import ModulesToSaveWrapper
from torch import nn
from transformers import BitsAndBytesConfig, PreTrainedModel

from engines.adapters import checked_base, is_adapter
from engines.merging import WRITES, adapted, load_model, load_whole
from engines.models import inference_dtype
from records.keys import derived_seed
from trainer.training.lora.checks import ALL_LINEAR, check_four_bits, check_layers, check_not_quantised, check_same
from trainer.training.memory.size import MemorySettings
from trainer.training.options import LoraOptions

REFERENCE = "ref"
"""The name that TRL gives to its copy of an adapter, which is the reference."""


def load_base(
    folder: Path, lora: LoraOptions, task: str = WRITES, memory: MemorySettings | None = None
) -> PreTrainedModel:
    """Return the model to train, before it gets an adapter: float32, or the frozen base in the type it answers in.

    `memory` may say otherwise. Without adapters a parent that is one is merged into its base. Raises InputError if that
    is gone, or if all of a quantised model's weights are to be trained.
    """
    attention = {"attn_implementation": memory.attn} if memory and memory.attn else {}
    if not lora.r:
        check_not_quantised(folder)
        return load_model(folder, getattr(torch, memory.dtype) if memory else torch.float32, task, **attention)
    base = checked_base(folder) if is_adapter(folder) else folder
    dtype = getattr(torch, memory.dtype if memory else inference_dtype(base))
    return load_whole(base, dtype, task, **attention, **(_four_bits(dtype) if lora.quantize == "4bit" else {}))


def with_adapter(model: PreTrainedModel, folder: Path, lora: LoraOptions, seed: int, task: str = WRITES) -> Any:
    """Return the model of `load_base` with the adapter to train, or as it is if `lora` is off.

    A parent that is an adapter is trained further, and its rank, alpha and layers stay. Raises InputError if `lora` has
    others, or names layers that the model has not.
    """
    if not lora.r:
        return model
    base = str(folder)
    if is_adapter(folder):
        base = model.config.name_or_path
        check_same(folder, lora)
        peft_model = adapted(model, folder, task, dropout=lora.dropout)
    else:
        peft_model = new_adapter(model, lora, seed, task)
    for parameter in peft_model.parameters():
        if parameter.requires_grad:  # a reward head too, whose small steps bfloat16 would round away
            parameter.data = parameter.data.float()
    for module in peft_model.modules():
        if isinstance(module, ModulesToSaveWrapper):
            module.modules_to_save["default"].register_forward_pre_hook(_in_own_type)
    peft_model.peft_config["default"].base_model_name_or_path = base
    model.config.name_or_path = str(folder)  # the parent, by which a saved state knows its training
    return peft_model


def _in_own_type(head: nn.Linear, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """Return the inputs of a float32 head in its type, because those of a bfloat16 model are in another."""
    return tuple(tensor.to(head.weight.dtype) for tensor in inputs)


def new_adapter(model: PreTrainedModel, lora: LoraOptions, seed: int, task: str | None) -> Any:
    """Return a model with a new adapter, drawn by the seed, which changes nothing yet. `task` None is a bare body."""
    check_layers(lora, [name for name, module in model.named_modules() if isinstance(module, nn.Linear)])
    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=ALL_LINEAR if lora.target_modules == (ALL_LINEAR,) else list(lora.target_modules),
        task_type=task,
    )
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(seed, "adapter"))
        return get_peft_model(model, config)


def is_adapted(model: nn.Module) -> bool:
    """Return whether an adapter of `model` is trained and not its weights."""
    return isinstance(model, PeftModel)


def drop_reference(model: nn.Module) -> None:
    """Remove TRL's copy of the adapter once the reference's log-probabilities are there, or it would be saved too."""
    if isinstance(model, PeftModel) and REFERENCE in model.peft_config:
        model.delete_adapter(REFERENCE)


def _four_bits(dtype: torch.dtype) -> dict[str, Any]:
    """Return the settings of QLoRA's four-bit weights: normal floats, and scales that are quantised again."""
    check_four_bits()
    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    return {"quantization_config": config, "device_map": {"": torch.cuda.current_device()}}
