"""The tensors of a model in training by the names of its checkpoint, without vLLM."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from console.errors import EngineError
from engines.local.vllm.live import checkpoint_tensors, stored_names
from tests.tiny import save_tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("names") / "tied")


def loaded(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def test_they_are_the_live_tensors_themselves_with_a_tied_head_under_both_names(folder: Path) -> None:
    model, stored = loaded(folder), stored_names(folder)
    tensors = checkpoint_tensors(model, stored)
    assert "lm_head.weight" not in stored
    assert tensors.keys() == stored | {"lm_head.weight"}
    with torch.no_grad():
        model.model.embed_tokens.weight.zero_()
    assert not tensors["lm_head.weight"].any() and not tensors["model.embed_tokens.weight"].any()
    assert not any(tensor.requires_grad for tensor in tensors.values())


def test_one_that_only_the_checkpoint_has_or_only_the_model_is_named(folder: Path) -> None:
    model, stored = loaded(folder), stored_names(folder)
    with pytest.raises(EngineError, match=r"has no model.a.weight \(2 in all\), which its checkpoint has"):
        checkpoint_tensors(model, stored | {"model.a.weight", "model.b.weight"})
    with pytest.raises(EngineError, match=r"has model.norm.weight \(1 in all\), which its checkpoint has not"):
        checkpoint_tensors(model, stored - {"model.norm.weight"})


def test_what_old_checkpoints_store_of_positions_is_no_weight(folder: Path, tmp_path: Path) -> None:
    old = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}
    save_file(load_file(folder / "model.safetensors") | old, tmp_path / "model.safetensors")
    assert stored_names(tmp_path) == stored_names(folder)
