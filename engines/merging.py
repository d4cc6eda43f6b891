"""Loads a model for use or for further training: a whole one as it is, an adapter merged into its base in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
)

from console.errors import InputError
from console.process import keep_freed_memory
from engines.adapters import TENSORS, checked_base, is_adapter, settings_of, tokenizer_folder
from engines.models import checkpoint_dtype

WRITES, REWARDS = "CAUSAL_LM", "SEQ_CLS"
"""PEFT's names for an adapter of a model that writes texts, and of a reward model."""


def load_model(folder: Path, dtype: Any, task: str = WRITES, **settings: Any) -> PreTrainedModel:
    """Return the model in `folder`, an adapter merged into its base. A reward model has one label.

    `settings` are those of transformers for loading. Raises InputError for an adapter that does not fit its base, or
    whose base is gone or another model.
    """
    base = checked_base(folder) if is_adapter(folder) else folder
    model = load_whole(base, dtype, task, **settings)
    if not is_adapter(folder):
        return model
    merged: PreTrainedModel = adapted(model, folder, task).merge_and_unload()
    merged.config.name_or_path = str(folder)
    return merged.requires_grad_(True)


def load_whole(folder: Path, dtype: Any, task: str, **settings: Any) -> PreTrainedModel:
    """Return the model in `folder`, which is no adapter, as transformers loads it, with `settings` if they are given.

    A language model that is loaded as a reward model gets a new head.
    """
    if task == REWARDS:
        settings |= {"num_labels": 1}
    if not torch.cuda.is_available():
        keep_freed_memory()
    kind = AutoModelForSequenceClassification if task == REWARDS else AutoModelForCausalLM
    return kind.from_pretrained(folder, dtype=dtype, use_safetensors=True, **settings)


def adapted(model: PreTrainedModel, folder: Path, task: str, *, dropout: float = 0.0) -> PeftModel:
    """Return a base model with the adapter in `folder` in it, ready to train. Raises InputError if it does not fit.

    A reward model may begin with the adapter of a language model: it then keeps the head that `model` has.
    """
    if settings_of(folder).get("task_type") == REWARDS != task:
        raise InputError(f"{folder}: an adapter of a reward model, which writes no texts")
    try:
        config = LoraConfig.from_pretrained(str(folder))
        config.inference_mode, config.task_type, config.lora_dropout = False, task, dropout
        config.base_model_name_or_path = model.config.name_or_path
        peft_model = get_peft_model(model, config)
    except (ValueError, RuntimeError, TypeError) as error:
        raise _misfit(folder, model, str(error)) from None
    load_adapter(peft_model, folder)
    return peft_model


def load_adapter(peft_model: PeftModel, folder: Path, name: str = "default") -> None:
    """Fill the adapter `name` of a model with the weights in `folder`. Raises InputError if they are torn or misfit.

    A head that `folder` has not stays as it is.
    """
    try:
        stored = load_file(folder / TENSORS)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{folder / TENSORS}: cannot be read, so that the adapter is damaged: {error}") from None
    try:
        own = get_peft_model_state_dict(peft_model, adapter_name=name, save_embedding_layers=False)
        strange = sorted(stored.keys() ^ {key for key in own if "lora_" in key or key in stored})
        if strange:
            raise ValueError(f"{strange[0]} ({len(strange)} in all) is in one of them only")
        set_peft_model_state_dict(peft_model, own | stored, name)
    except (ValueError, RuntimeError, KeyError) as error:
        raise _misfit(folder, peft_model, str(error)) from None


def _misfit(folder: Path, model: Any, reason: str) -> InputError:
    base, kind = model.config.name_or_path, model.config.model_type
    reason = " ".join(reason.split())[:200]
    return InputError(
        f"{folder}: this adapter does not fit its base model {base}, a model of the type {kind}: {reason}"
    )


def write_merged(folder: Path, out: Path) -> None:
    """Write the whole weights of the adapter in `folder` and its tokenizer to `out`, in the data type of its base.

    A reward model is written in float32, because rewards are compared to their last digits.
    """
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder(folder))
    if settings_of(folder).get("task_type") == REWARDS:
        model = load_model(folder, torch.float32, REWARDS)
        model.config.get_text_config().pad_token_id = tokenizer.pad_token_id  # from which it knows the last token
    else:
        model = load_model(folder, getattr(torch, checkpoint_dtype(folder)))
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


@contextmanager
def whole(folder: Path) -> Iterator[Path]:
    """Give a folder with whole weights for a program that reads no adapters: `folder`, or a temporary one."""
    if not is_adapter(folder):
        yield folder
        return
    with TemporaryDirectory(prefix="judgeloop-merged-") as place:
        write_merged(folder, Path(place))
        yield Path(place)
