"""A model's memory and arithmetic by formula from its config.json, without loading weights."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from console.errors import InputError
from engines.adapters import weights_folder
from trainer.training.memory.options import FUSED, OPTIMIZERS, ROUNDED
from trainer.training.options import LoraOptions

WHOLE = LoraOptions()
"""No adapter: all weights learn."""
FLOAT32_BYTES, BFLOAT16_BYTES = 4, 2
FOUR_BITS = (4 + 0.127) / 8
"""Bytes per weight of QLoRA's four-bit layers with their scales (arXiv 2305.14314, section 3)."""
ACTIVATIONS = 17
"""Numbers in a token's activations in one layer over the hidden size, with attention that stores no scores (Korthikanti
et al. 2022, arXiv 2205.05198, equation 2 without its last term: 34 bytes in 16 bits)."""
LOGIT_BYTES = 8
"""Bytes of a token's logit and its gradient, float32."""


@dataclass(frozen=True)
class ModelSize:
    """The quantities of a model that the formulas use."""

    n_parameters: int
    n_layers: int
    hidden: int
    vocabulary: int
    key_value_width: int
    """Numbers in the keys of one token and layer. The values have as many."""
    linear: tuple[str, ...] = ()
    """The names of the linear layers without the output, which adapters stand beside."""
    n_linear: int = 0
    """Their parameters."""
    n_features: int = 0
    """Their inputs and outputs, all together: an adapter has so many parameters times its rank."""
    attentions: tuple[str, ...] = ()
    """The implementations of attention that the architecture has. The first is the usual one."""


@dataclass(frozen=True)
class TrainingBytes:
    """What a training holds in the memory of a device, by part."""

    weights: float
    gradients: float
    optimizer: float
    """Its moments."""
    activations: float
    """With the logits."""

    @property
    def total(self) -> float:
        """All together."""
        return self.weights + self.gradients + self.optimizer + self.activations


@dataclass(frozen=True)
class MemorySettings:
    """The settings that decide a training's memory, with nothing left to choose."""

    dtype: str = "float32"
    """Of the weights, or of the frozen ones beside adapters."""
    optim: str = FUSED
    attn: str | None = None
    """None is what transformers takes."""
    checkpointing: bool = True
    """Whether activations are computed again for the gradient."""

    @property
    def keeps_float32(self) -> bool:
        """Whether an optimizer of bfloat16 weights keeps float32 ones beside them."""
        return self.dtype == "bfloat16" and self.optim not in ROUNDED


@dataclass(frozen=True)
class Load:
    """What a device has in memory at once in a training."""

    n_tokens: int
    """In one forward pass."""
    gpus: int = 1
    """The devices that all states are sharded over (FSDP)."""
    n_trained: int = 1
    """Models of this size that learn. PPO has a value model too."""
    n_frozen: int = 0
    """Further copies that do not learn, such as a reference."""
    generates: bool = False
    """Whether answers are drawn with whole weights, which are gathered for it if they are sharded."""
    number_bytes: int = BFLOAT16_BYTES
    """Bytes of a number in the activations: 4 on a processor, which computes in float32."""


def model_size(config: Path) -> ModelSize:
    """Return the model size described by `config`, a config.json or its folder. Tied weights count once.

    Raises InputError if there is no such file, or transformers knows no such architecture.
    """
    if not config.exists():  # transformers would ask the hub for it
        raise InputError(f"{config}: no such file; a recipe names files from the project's folder")
    path = weights_folder(config)
    file = path / "config.json" if path.is_dir() else path
    return _size(path, file.stat().st_mtime_ns if file.exists() else 0)


@cache
def _size(config: Path, _changed_ns: int) -> ModelSize:
    try:
        settings = AutoConfig.from_pretrained(config)
        with torch.device("meta"):  # shapes without memory
            model = AutoModelForCausalLM.from_config(settings)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{config}: cannot read the model's size: {' '.join(str(error).split())[:200]}") from None
    linear = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not model.get_output_embeddings()
    }
    settings = settings.get_text_config()
    heads = settings.num_attention_heads
    head = getattr(settings, "head_dim", None) or settings.hidden_size // heads
    return ModelSize(
        n_parameters=sum(weight.numel() for weight in model.parameters()),
        n_layers=settings.num_hidden_layers,
        hidden=settings.hidden_size,
        vocabulary=settings.vocab_size,
        key_value_width=head * (getattr(settings, "num_key_value_heads", None) or heads),
        linear=tuple(linear),
        n_linear=sum(layer.weight.numel() for layer in linear.values()),
        n_features=sum(layer.in_features + layer.out_features for layer in linear.values()),
        attentions=_attentions(model),
    )


def training_bytes(
    size: ModelSize, load: Load, settings: MemorySettings | None = None, lora: LoraOptions = WHOLE
) -> TrainingBytes:
    """Return the bytes that training takes on each device.

    With checkpointed activations a device holds the input of every layer and the activations of one, else those of all.
    With sharded weights it holds two layers' gathered 16-bit weights too, or all if it generates. bfloat16 weights
    become float32 while the optimizer changes them, and their gradients too.
    """
    settings = settings or MemorySettings()
    learning, frozen, wide = size.n_parameters / load.gpus, 0.0, settings.dtype == "float32" or settings.keeps_float32
    n_gathered = size.n_layers if load.generates else 2  # the next layer is fetched during this one
    gathered = BFLOAT16_BYTES * size.n_parameters * n_gathered / size.n_layers if load.gpus > 1 else 0.0
    if lora.r:
        learning, wide = lora.r * size.n_features / load.gpus, True
        frozen = frozen_bytes(size, lora, settings.dtype) / load.gpus
    narrow = BFLOAT16_BYTES if settings.dtype == "bfloat16" and not lora.r else FLOAT32_BYTES
    one = FLOAT32_BYTES if wide else BFLOAT16_BYTES
    copies = load.n_frozen * (frozen or narrow * learning)
    layer = ACTIVATIONS * load.number_bytes * size.hidden * load.n_tokens
    inputs = load.number_bytes * size.n_layers * size.hidden * load.n_tokens
    return TrainingBytes(
        weights=load.n_trained * (frozen + one * learning) + copies + gathered,
        gradients=load.n_trained * one * learning,
        optimizer=load.n_trained * OPTIMIZERS[settings.optim].state_bytes * learning,
        activations=(inputs + layer if settings.checkpointing else size.n_layers * layer)
        + LOGIT_BYTES * size.vocabulary * load.n_tokens,
    )


def frozen_bytes(size: ModelSize, lora: LoraOptions, dtype: str) -> float:
    """Return the bytes of frozen weights. In four bits the embeddings and the output stay in 16."""
    if lora.quantize == "4bit":
        return BFLOAT16_BYTES * (size.n_parameters - size.n_linear) + FOUR_BITS * size.n_linear
    return (FLOAT32_BYTES if dtype == "float32" else BFLOAT16_BYTES) * size.n_parameters


def inference_bytes(size: ModelSize, n_tokens: int, gpus: int) -> float:
    """Return the bytes that 16-bit weights and the keys and values of `n_tokens` take on each of `gpus`."""
    # 2 bytes a number; keys and values
    return (2 * size.n_parameters + 2 * 2 * size.n_layers * size.key_value_width * n_tokens) / gpus


def _attentions(model: Any) -> tuple[str, ...]:
    """Return the implementations of attention that a model has, by the marks on its class."""
    has = {
        "sdpa": getattr(model, "_supports_sdpa", False),
        "eager": True,
        "flex_attention": getattr(model, "_supports_flex_attn", False),
        "flash_attention_2": getattr(model, "_supports_flash_attn", False),
        "flash_attention_3": getattr(model, "_supports_flash_attn", False),
    }
    return tuple(name for name, is_there in has.items() if is_there)


def training_flops(size: ModelSize, n_tokens: int, lora: LoraOptions = WHOLE) -> float:
    """Return 6 N D, forward and backward (Kaplan et al. 2020, arXiv 2001.08361, section 2.1).

    With `lora` it is 4 N D, because frozen weights have no gradient.
    """
    return (4.0 if lora.r else 6.0) * size.n_parameters * n_tokens


def inference_flops(size: ModelSize, n_tokens: int) -> float:
    """Return 2 N D, forward only, without the attention over long contexts."""
    return 2.0 * size.n_parameters * n_tokens
