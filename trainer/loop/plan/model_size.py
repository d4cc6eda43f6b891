"""A model's memory and arithmetic by formula from its config.json, without loading weights."""

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from console.errors import InputError
from engines.adapters import weights_folder
from trainer.training.fit import WHOLE
from trainer.training.options import LoraOptions

TRAINING_BYTES = 16
"""Bytes per parameter in training: float32 weight, gradient and AdamW's two moments, 4 bytes each."""
FOUR_BITS = (4 + 0.127) / 8
"""Bytes per weight of QLoRA's four-bit layers with their scales (arXiv 2305.14314, section 3)."""
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
    n_linear: int = 0
    """Parameters of the linear layers without the output, which adapters stand beside."""
    n_features: int = 0
    """The inputs and outputs of these layers, all together: an adapter has so many parameters times its rank."""


def model_size(config: Path) -> ModelSize:
    """Return the model size described by `config`, a config.json or its folder. Tied weights count once.

    Raises InputError if there is no such file, or transformers knows no such architecture.
    """
    if not config.exists():  # transformers would ask the hub for it
        raise InputError(f"{config}: no such file; a recipe names files from the project's folder")
    try:
        settings = AutoConfig.from_pretrained(weights_folder(config))
        with torch.device("meta"):  # shapes without memory
            model = AutoModelForCausalLM.from_config(settings)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{config}: cannot read the model's size: {' '.join(str(error).split())[:200]}") from None
    linear = [
        module
        for module in model.modules()
        if isinstance(module, torch.nn.Linear) and module is not model.get_output_embeddings()
    ]
    heads = settings.num_attention_heads
    head = getattr(settings, "head_dim", None) or settings.hidden_size // heads
    return ModelSize(
        n_parameters=sum(weight.numel() for weight in model.parameters()),
        n_layers=settings.num_hidden_layers,
        hidden=settings.hidden_size,
        vocabulary=settings.vocab_size,
        key_value_width=head * (getattr(settings, "num_key_value_heads", None) or heads),
        n_linear=sum(layer.weight.numel() for layer in linear),
        n_features=sum(layer.in_features + layer.out_features for layer in linear),
    )


def training_bytes(size: ModelSize, n_tokens: int, gpus: int, lora: LoraOptions = WHOLE) -> float:
    """Return the bytes that training takes on each of `gpus`, with all states sharded over them (FSDP).

    `n_tokens` are in one GPU's forward pass. With checkpointed activations a GPU holds the input of every layer, the
    activations of one, the logits, and two layers' gathered 16-bit weights. With `lora` each GPU holds all weights.
    """
    states = adapter_bytes(size, lora) if lora.r else TRAINING_BYTES * size.n_parameters / gpus
    # two layers, because the next one is fetched during this one; 2 bytes each
    gathered = 2 * 2 * size.n_parameters / size.n_layers if gpus > 1 and not lora.r else 0.0
    inputs = 2 * size.n_layers * size.hidden * n_tokens
    layer = ACTIVATION_BYTES * size.hidden * n_tokens
    return states + gathered + inputs + layer + LOGIT_BYTES * size.vocabulary * n_tokens


def adapter_bytes(size: ModelSize, lora: LoraOptions) -> float:
    """Return the bytes of frozen weights, in 16 bits or four, and of adapters on all linear layers with their states.

    In four bits the embeddings and the output stay in 16.
    """
    n_wide = size.n_parameters - size.n_linear if lora.quantize == "4bit" else size.n_parameters
    frozen = 2 * n_wide + FOUR_BITS * (size.n_parameters - n_wide)
    return frozen + TRAINING_BYTES * lora.r * size.n_features


def inference_bytes(size: ModelSize, n_tokens: int, gpus: int) -> float:
    """Return the bytes that 16-bit weights and the keys and values of `n_tokens` take on each of `gpus`."""
    # 2 bytes a number; keys and values
    return (2 * size.n_parameters + 2 * 2 * size.n_layers * size.key_value_width * n_tokens) / gpus


def training_flops(size: ModelSize, n_tokens: int, lora: LoraOptions = WHOLE) -> float:
    """Return 6 N D, forward and backward (Kaplan et al. 2020, arXiv 2001.08361, section 2.1).

    With `lora` it is 4 N D, because frozen weights have no gradient.
    """
    return (4.0 if lora.r else 6.0) * size.n_parameters * n_tokens


def inference_flops(size: ModelSize, n_tokens: int) -> float:
    """Return 2 N D, forward only, without the attention over long contexts."""
    return 2.0 * size.n_parameters * n_tokens
