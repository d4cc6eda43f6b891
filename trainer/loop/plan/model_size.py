"""A model's memory and arithmetic by formula from its config.json, without loading weights."""

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from console.errors import InputError
from engines.adapters import weights_folder

TRAINING_BYTES = 16
"""Bytes per parameter in training: float32 weight, gradient and AdamW's two moments, 4 bytes each."""
ACTIVATION_BYTES = 34
"""Bytes of a token's activations in one layer over the hidden size, in 16 bits and with attention that stores no scores
(Korthikanti et al. 2022, arXiv 2205.05198, equation 2 without its last term)."""
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


def model_size(config: Path) -> ModelSize:
    """Return the model size described by `config`, a config.json or its folder. Tied weights count once.

    Raises InputError if transformers knows no such architecture.
    """
    try:
        settings = AutoConfig.from_pretrained(weights_folder(config))
        with torch.device("meta"):  # shapes without memory
            model = AutoModelForCausalLM.from_config(settings)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{config}: cannot read the model's size: {' '.join(str(error).split())[:200]}") from None
    heads = settings.num_attention_heads
    head = getattr(settings, "head_dim", None) or settings.hidden_size // heads
    return ModelSize(
        n_parameters=sum(weight.numel() for weight in model.parameters()),
        n_layers=settings.num_hidden_layers,
        hidden=settings.hidden_size,
        vocabulary=settings.vocab_size,
        key_value_width=head * (getattr(settings, "num_key_value_heads", None) or heads),
    )


def training_bytes(size: ModelSize, n_tokens: int, gpus: int) -> float:
    """Return the bytes that training takes on each of `gpus`, with all states sharded over them (FSDP).

    `n_tokens` are in one GPU's forward pass. With checkpointed activations a GPU holds the input of every layer, the
    activations of one, the logits, and two layers' gathered 16-bit weights.
    """
    states = TRAINING_BYTES * size.n_parameters / gpus
    # two layers, because the next one is fetched during this one; 2 bytes each
    gathered = 2 * 2 * size.n_parameters / size.n_layers if gpus > 1 else 0.0
    inputs = 2 * size.n_layers * size.hidden * n_tokens
    layer = ACTIVATION_BYTES * size.hidden * n_tokens
    return states + gathered + inputs + layer + LOGIT_BYTES * size.vocabulary * n_tokens


def inference_bytes(size: ModelSize, n_tokens: int, gpus: int) -> float:
    """Return the bytes that 16-bit weights and the keys and values of `n_tokens` take on each of `gpus`."""
    # 2 bytes a number; keys and values
    return (2 * size.n_parameters + 2 * 2 * size.n_layers * size.key_value_width * n_tokens) / gpus


def training_flops(size: ModelSize, n_tokens: int) -> float:
    """Return 6 N D, forward and backward (Kaplan et al. 2020, arXiv 2001.08361, section 2.1)."""
    return 6.0 * size.n_parameters * n_tokens


def inference_flops(size: ModelSize, n_tokens: int) -> float:
    """Return 2 N D, forward only, without the attention over long contexts."""
    return 2.0 * size.n_parameters * n_tokens
