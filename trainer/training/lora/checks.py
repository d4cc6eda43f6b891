"""The checks of adapters against the model that gets them and against this machine, before weights are loaded."""

import json
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path

import torch

from console.errors import InputError
from engines.adapters import is_adapter, settings_of, weights_folder
from engines.models import check_model
from trainer.training.memory.options import nearest
from trainer.training.memory.size import model_size
from trainer.training.options import LoraOptions

ALL_LINEAR = "all-linear"
HEADS = ("lm_head", "score")
"""Layers that get no adapter. TRL reads the weights of the first directly, and the second is trained whole."""


def check_adapters(folder: Path, lora: LoraOptions, linear: Collection[str]) -> None:
    """Raise InputError if the model in `folder`, whose linear layers are named, cannot learn as `lora` says."""
    if not lora.r:
        check_not_quantised(folder)
        return
    if lora.quantize == "4bit":
        check_four_bits()
    _check_fits(folder, lora, linear)


def check_planned(model: str, run: str | None, lora: LoraOptions) -> None:
    """Raise InputError if the model of a run that is planned cannot get the adapters. One that is not here passes."""
    folder = check_model(model, run) if lora.r else None
    if folder is not None:
        _check_fits(folder, lora, model_size(folder).linear)


def _check_fits(folder: Path, lora: LoraOptions, linear: Collection[str]) -> None:
    if is_adapter(folder):
        check_same(folder, lora)
    else:
        check_layers(lora, linear)


def check_not_quantised(folder: Path) -> None:
    """Raise InputError if all weights are to be trained and those of the model are quantised."""
    config = json.loads((weights_folder(folder) / "config.json").read_text(encoding="utf-8"))
    if config.get("quantization_config"):
        raise InputError(
            f"{folder}: its weights are quantised, and only adapters can be trained on them: give --lora.r 16, or the "
            "model before its quantisation"
        )


def check_four_bits() -> None:
    """Raise InputError if there are no four-bit weights on this machine."""
    if not torch.cuda.is_available():
        raise InputError("--lora.quantize 4bit needs a GPU, and there is none here; leave it out")
    if find_spec("bitsandbytes") is None:
        raise InputError(
            "--lora.quantize 4bit needs the package bitsandbytes: pip install bitsandbytes; or leave it out"
        )


def check_same(folder: Path, lora: LoraOptions) -> None:
    """Raise InputError if the adapter in `folder` has another shape than `lora` asks for."""
    settings = settings_of(folder)
    r, alpha = settings.get("r"), settings.get("lora_alpha")
    if (lora.r, lora.alpha) != (r, alpha):
        raise InputError(
            f"{folder}: an adapter with r {r} and alpha {alpha}, which is trained further as it is: give --lora.r {r} "
            f"--lora.alpha {alpha}, or train from a merged model (--lora.merge)"
        )
    layers = settings.get("target_modules")
    if lora.target_modules != (ALL_LINEAR,) and isinstance(layers, list) and {*lora.target_modules} != {*layers}:
        raise InputError(
            f"{folder}: an adapter on {', '.join(sorted(layers))}, which is trained further as it is: leave out "
            "--lora.target-modules"
        )


def check_layers(lora: LoraOptions, linear: Collection[str]) -> None:
    """Raise InputError, which names the nearest, for a layer that is none of the `linear` ones of the model."""
    if lora.target_modules == (ALL_LINEAR,):
        return
    names = sorted({name.rpartition(".")[2] for name in linear} - {*HEADS})
    for wanted in lora.target_modules:
        fits = any(name == wanted or name.endswith(f".{wanted}") for name in linear)
        if not fits or wanted.rpartition(".")[2] in HEADS:
            raise InputError(
                f"--lora.target-modules {wanted}: not a linear layer that can have an adapter"
                f"{nearest(wanted, (ALL_LINEAR, *names))}"
            )
