"""The settings of memory and speed that all trainings share, and the checks that need no torch."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from console.errors import InputError

Dtype = Literal["auto", "float32", "bfloat16"]
TORCHAO, BITSANDBYTES = "torchao", "bitsandbytes"
FUSED, EIGHT_BIT = "adamw_torch_fused", "adamw_torch_8bit"
AUTO = "auto"


@dataclass(frozen=True)
class Optimizer:
    """What is known of an optimizer of transformers."""

    state_bytes: float
    """Of its moments, for each weight that learns."""
    package: str | None = None
    """The package that has it, if it is not torch or transformers."""


OPTIMIZERS = {
    "adamw_torch": Optimizer(8),
    FUSED: Optimizer(8),
    "adafactor": Optimizer(0),  # sums over rows and columns, far fewer than weights
    "adagrad": Optimizer(4),
    "rmsprop": Optimizer(4),
    "sgd": Optimizer(0),
    EIGHT_BIT: Optimizer(2 + 8 / 256, TORCHAO),  # two float32 scales for each 256 weights
    "adamw_torch_4bit": Optimizer(1 + 8 / 128, TORCHAO),
    "adamw_bnb_8bit": Optimizer(2 + 8 / 256, BITSANDBYTES),
    "adamw_8bit": Optimizer(2 + 8 / 256, BITSANDBYTES),
    "paged_adamw_32bit": Optimizer(8, BITSANDBYTES),
    "paged_adamw_8bit": Optimizer(2 + 8 / 256, BITSANDBYTES),
    "lion_32bit": Optimizer(4, BITSANDBYTES),
    "lion_8bit": Optimizer(1 + 4 / 256, BITSANDBYTES),
    "paged_lion_32bit": Optimizer(4, BITSANDBYTES),
    "paged_lion_8bit": Optimizer(1 + 4 / 256, BITSANDBYTES),
    "ademamix": Optimizer(12, BITSANDBYTES),
    "ademamix_8bit": Optimizer(3 + 12 / 256, BITSANDBYTES),
    "paged_ademamix_32bit": Optimizer(12, BITSANDBYTES),
    "paged_ademamix_8bit": Optimizer(3 + 12 / 256, BITSANDBYTES),
    "rmsprop_bnb": Optimizer(4, BITSANDBYTES),
    "rmsprop_bnb_8bit": Optimizer(1 + 4 / 256, BITSANDBYTES),
    "rmsprop_bnb_32bit": Optimizer(4, BITSANDBYTES),
}
"""The names of transformers. Those that need layers named, change weights in the backward pass, or keep other weights
than they train are left out."""
ROUNDED = tuple(name for name, optimizer in OPTIMIZERS.items() if optimizer.package == TORCHAO)
"""Optimizers that round bfloat16 weights at random, so that small steps count on average."""
ATTENTIONS = {
    "eager": None,
    "sdpa": None,
    "flex_attention": None,
    "flash_attention_2": "flash_attn",
    "flash_attention_3": "flash_attn_interface",
}
"""The implementations of attention in transformers, and the package that has each."""
KERNELS = "kernels"
"""The package by which transformers fetches flash attention from the hub."""


@dataclass(frozen=True, kw_only=True)
class MemoryOptions:
    """The memory and the speed of a training. `auto` is chosen by the size of the model and the device, and told."""

    dtype: Dtype = "auto"
    """The data type of the weights in training, or of the frozen ones with --lora.r. Small steps are not lost in
    bfloat16: the optimizer keeps float32 weights too, or rounds at random (adamw_torch_8bit)."""
    optim: str = AUTO
    """The optimizer, by its name in transformers, such as adamw_torch_fused, adamw_torch_8bit (of the package torchao),
    paged_adamw_8bit (bitsandbytes) or adafactor."""
    attn: str = AUTO
    """The implementation of attention: eager, sdpa, flex_attention, flash_attention_2 or flash_attention_3."""
    activation_checkpointing: Literal["auto", "on", "off"] = "auto"
    """Compute activations again for the gradient: less memory, and about a third more time."""
    liger: bool = False
    """Use the layer kernels of the package liger-kernel, on a GPU."""


def check_memory(options: MemoryOptions, *, is_sharded: bool, adapted: bool) -> None:
    """Raise InputError if there is no such optimizer or attention, or a package for it is missing."""
    _check_optimizer(options.optim, is_sharded=is_sharded)
    _check_attention(options.attn)
    if options.liger and find_spec("liger_kernel") is None:
        raise InputError("--liger needs the package liger-kernel: pip install liger-kernel; or leave it out")
    if is_sharded and options.dtype == "bfloat16" and not adapted:
        raise InputError(
            "--dtype bfloat16: sharded weights are float32, and accelerate computes with them in bfloat16 by "
            "itself (mixed_precision: bf16 in its file); leave out --dtype"
        )


def _check_optimizer(name: str, *, is_sharded: bool) -> None:
    if name == AUTO:
        return
    if name not in OPTIMIZERS:
        raise InputError(f"--optim {name}: no such optimizer{nearest(name, OPTIMIZERS)}")
    package = OPTIMIZERS[name].package
    if package is not None and find_spec(package) is None:
        raise InputError(f"--optim {name} needs the package {package}: pip install {package}; or leave it out")
    if is_sharded and package == BITSANDBYTES:
        raise InputError(f"--optim {name}: bitsandbytes has no sharded optimizers; use {FUSED} or {EIGHT_BIT}")


def _check_attention(name: str) -> None:
    if name == AUTO:
        return
    if name not in ATTENTIONS:
        raise InputError(f"--attn {name}: no such attention{nearest(name, ATTENTIONS)}")
    package = ATTENTIONS[name]
    if package is not None and find_spec(package) is None and find_spec(KERNELS) is None:
        raise InputError(
            f"--attn {name} needs the package {package} or {KERNELS}: pip install {KERNELS}; or leave it out"
        )


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the end of an error about an unknown name: those most like it, or all."""
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    return f"; the nearest are {', '.join(near)}" if near else f"; there are {', '.join(names)}"
