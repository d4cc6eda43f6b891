"""Chooses the settings of memory that are `auto`, by the size of the model and the device, and tells them in a line."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from importlib.util import find_spec
from pathlib import Path

import psutil
import torch

from console.errors import InputError
from console.progress import say
from engines.adapters import weights_folder
from engines.models import inference_dtype
from trainer.training.lora.checks import check_adapters
from trainer.training.memory.options import AUTO, EIGHT_BIT, FUSED, TORCHAO, MemoryOptions
from trainer.training.memory.size import (
    BFLOAT16_BYTES,
    FLOAT32_BYTES,
    Load,
    MemorySettings,
    ModelSize,
    TrainingBytes,
    model_size,
    training_bytes,
)
from trainer.training.options import Learning
from trainer.training.processes import is_sharded, n_processes

GIB = 1 << 30
FULL = 0.9
"""The share of a device's memory that a training may take by formula."""
ROOMY = 0.5
"""Below this share activations are kept, which is faster than to compute them again."""
ON_GPU_ONLY = ("flex_attention", "flash_attention_2", "flash_attention_3")
WAYS_OUT = (
    "this may not fit: --lora.r 16 takes least; --dtype bfloat16 with --optim adamw_torch_8bit or adafactor, a smaller "
    "--micro-batch-size and a smaller --max-length take less"
)


@dataclass(frozen=True)
class Device:
    """The memory of one device."""

    bytes: float
    on_gpu: bool


@dataclass(frozen=True)
class Choice:
    """The settings of a training and what they take."""

    settings: MemorySettings
    parts: TrainingBytes
    device: Device
    adapted: bool = False
    """Whether adapters learn beside frozen weights."""

    @property
    def fits(self) -> bool:
        """Whether the device is large enough by formula."""
        return self.parts.total <= FULL * self.device.bytes

    def short(self) -> str:
        """Return the settings and their memory in as few words as a terminal has room for."""
        settings = self.settings
        again = ", activations recomputed" if settings.checkpointing else ""
        size = f"{_gib(self.parts.total)} of {_gib(self.device.bytes)} GiB"
        return f"{settings.dtype}, {settings.optim}, {settings.attn}{again}; at most {size}"

    def text(self) -> str:
        """Return the settings and their memory by part."""
        settings, parts = self.settings, self.parts
        floats = " with float32 ones for the optimizer" if settings.keeps_float32 and not self.adapted else ""
        weights = f"frozen {settings.dtype} weights" if self.adapted else f"{settings.dtype} weights{floats}"
        shown = [f"{field.name} {_gib(getattr(parts, field.name))}" for field in fields(parts)]
        kept = "computed again for the gradient" if settings.checkpointing else "kept"
        return (
            f"{weights}, {settings.optim}, {settings.attn} attention, activations {kept}: at most {_gib(parts.total)} "
            f"of {_gib(self.device.bytes)} GiB ({', '.join(shown)})"
        )


def this_device() -> Device:
    """Return the memory that this process's device has: a GPU's, or its share of the machine's."""
    if torch.cuda.is_available():
        return Device(torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory, on_gpu=True)
    return Device(psutil.virtual_memory().total / n_processes(), on_gpu=False)


def choose(
    options: Learning,
    size: ModelSize,
    load: Load,
    device: Device,
    frozen_dtype: str = "bfloat16",
    usual: str = FUSED,
) -> Choice:
    """Return the settings of a training on `device`, with what is `auto` chosen.

    All weights learn in float32, unless only bfloat16 fits. Their optimizer is then adamw_torch_8bit, if the package
    torchao is there. `frozen_dtype` is that beside adapters. `usual` is the optimizer if all fits. If it is not the
    trainings' common one, there is no choice.
    """
    lora = options.lora
    load = replace(load, number_bytes=BFLOAT16_BYTES if device.on_gpu else FLOAT32_BYTES)
    attn = options.attn if options.attn != AUTO else next(iter(size.attentions), None)
    settings = MemorySettings(options.dtype, options.optim, attn, options.activation_checkpointing != "off")

    def fits(settings: MemorySettings) -> bool:
        return training_bytes(size, load, settings, lora).total <= FULL * device.bytes

    if options.optim == AUTO:
        settings = replace(settings, optim=usual)
    if options.dtype == AUTO:
        settings = replace(settings, dtype=frozen_dtype if lora.r else "float32")
    small = replace(settings, dtype="bfloat16", optim=EIGHT_BIT)
    can_be_small = options.optim in (AUTO, EIGHT_BIT) and options.dtype != "float32" and not lora.r and load.gpus == 1
    if can_be_small and usual == FUSED and device.on_gpu and find_spec(TORCHAO) and not fits(settings):
        settings = small
    if options.activation_checkpointing == AUTO:
        kept = replace(settings, checkpointing=False)
        if training_bytes(size, load, kept, lora).total <= ROOMY * device.bytes:
            settings = kept
    return Choice(settings, training_bytes(size, load, settings, lora), device, lora.r > 0)


def settled(folder: Path, options: Learning, load: Load, title: str, *, usual: str = FUSED) -> MemorySettings:
    """Return the settings with which the model in `folder` is trained here, and say them in a line.

    Raises InputError if its architecture, or this device, has not the attention or the kernels that are asked for.
    """
    size, device = checked_size(folder, options), this_device()
    load = replace(load, gpus=n_processes() if is_sharded() else 1)
    choice = choose(options, size, load, device, inference_dtype(weights_folder(folder)), usual)
    say(f"{title}: {choice.short()}")
    if not choice.fits:
        say(f"{title}: {WAYS_OUT}")
    return choice.settings


def planned(
    folder: Path,
    options: Learning,
    n_tokens: int,
    *,
    n_trained: int = 1,
    n_frozen: int = 0,
    generates: bool = False,
    usual: str = FUSED,
) -> tuple[dict[str, object], list[str]]:
    """Return what a plan says of a training's memory, as plain data and as lines: nothing if its size is not known.

    Raises InputError as `settled` does.
    """
    try:
        model_size(folder)
    except InputError:
        return {}, []
    size, device = checked_size(folder, options), this_device()
    load = Load(n_tokens, n_processes() if is_sharded() else 1, n_trained, n_frozen, generates)
    choice = choose(options, size, load, device, inference_dtype(weights_folder(folder)), usual)
    parts = {field.name: round(getattr(choice.parts, field.name)) for field in fields(choice.parts)}
    plan: dict[str, object] = {"settings": asdict(choice.settings), "bytes": parts | {"all": round(choice.parts.total)}}
    return plan, [choice.text(), *([] if choice.fits else [WAYS_OUT])]


def checked_size(folder: Path, options: Learning) -> ModelSize:
    """Return the size of the model in `folder`. Raises InputError if it cannot be trained as `options` say here."""
    size = model_size(folder)
    check_device(options, size, this_device(), folder)
    check_adapters(folder, options.lora, size.linear)
    return size


def check_device(options: MemoryOptions, size: ModelSize, device: Device, folder: Path) -> None:
    """Raise InputError if the model or the device has not the attention or the kernels that are asked for."""
    if options.attn != AUTO and options.attn not in size.attentions:
        raise InputError(f"--attn {options.attn}: {folder} has no such attention; it has {', '.join(size.attentions)}")
    if device.on_gpu:
        return
    for flag, needs in ((f"--attn {options.attn}", options.attn in ON_GPU_ONLY), ("--liger", options.liger)):
        if needs:
            raise InputError(f"{flag} needs a GPU, and there is none here; leave it out")


def _gib(n_bytes: float) -> str:
    return f"{n_bytes / GIB:.1f}" if n_bytes < 100 * GIB else f"{n_bytes / GIB:.0f}"
