"""Settings of adapters: which are refused, and the flags that a launched training gets of them."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from console.errors import InputError
from tests.trainer.training.test_lora import LORA, sft
from trainer.sft.options import SFTOptions
from trainer.training.launch import LaunchOptions, check_launch, flags_of
from trainer.training.lora.adapter import load_base, with_adapter
from trainer.training.memory.choice import planned
from trainer.training.options import LoraOptions, check_lora


@pytest.mark.parametrize(
    ("lora", "message"),
    [
        (LoraOptions(alpha=8), "--lora.alpha is about adapters, and --lora.r is 0, which trains all weights"),
        (LoraOptions(merge=True), "or leave out --lora.merge$"),
        (LoraOptions(quantize="4bit"), "--lora.quantize is about adapters"),
        (LoraOptions(r=4, target_modules=()), "names no layer; all-linear means every linear one"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(lora: LoraOptions, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_lora(lora)


def test_four_bits_need_a_gpu_and_a_package(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.training.lora.checks.find_spec", lambda name: None)
    with monkeypatch.context() as patched, pytest.raises(InputError, match="needs the package bitsandbytes: pip ins"):
        patched.setattr("trainer.training.lora.adapter.inference_dtype", lambda folder: "float32")
        patched.setattr("torch.cuda.is_available", lambda: True)
        load_base(tiny_model, LoraOptions(r=4, quantize="4bit"))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(InputError, match="--lora.quantize 4bit needs a GPU, and there is none here; leave it out"):
        load_base(tiny_model, LoraOptions(r=4, quantize="4bit"))


def test_a_plan_refuses_the_adapters_that_the_training_would(tiny_model: Path, tmp_path: Path) -> None:
    sft(tiny_model, tmp_path / "adapter", LORA)
    for folder, lora, message in (
        (tiny_model, LoraOptions(r=4, target_modules=("q_porj",)), "target-modules q_porj: .*; the nearest are q_proj"),
        (tiny_model, LoraOptions(r=4, quantize="4bit"), "--lora.quantize 4bit needs a GPU, and there is none here"),
        (tmp_path / "adapter", replace(LORA, r=LORA.r + 1), f"give --lora.r {LORA.r} --lora.alpha {LORA.alpha}"),
    ):
        with pytest.raises(InputError, match=message):
            planned(folder, SFTOptions(lora=lora), 8)
    assert planned(tmp_path / "adapter", SFTOptions(lora=LORA), 8) != ({}, [])


@pytest.mark.parametrize("name", ["query", "lm_head", "norm"])
def test_layers_that_the_model_has_not_are_refused_with_those_that_it_has(name: str, tiny_model: Path) -> None:
    lora = LoraOptions(r=4, target_modules=("q_proj", name))
    with pytest.raises(InputError, match=f"target-modules {name}: .*; there are all-linear, down_proj, gate_"):
        with_adapter(load_base(tiny_model, lora), tiny_model, lora, 0)


def test_all_weights_of_a_quantised_model_are_not_trained(tiny_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "quantised")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": {"quant_method": "bitsandbytes"}}))
    with pytest.raises(InputError, match=r"only adapters can be trained on them: give --lora.r 16"):
        sft(folder, tmp_path / "out", LoraOptions())


def test_sharded_weights_are_not_in_four_bits(tmp_path: Path) -> None:
    file, narrow = tmp_path / "fsdp.yaml", replace(LORA, quantize="4bit")
    file.write_text("distributed_type: FSDP\nnum_processes: 2\n")
    with pytest.raises(
        InputError, match="--sft.lora.quantize 4bit needs whole weights|--lora.quantize 4bit needs whole"
    ):
        check_launch(LaunchOptions(file), {"sft.": SFTOptions(lora=narrow)})
    with pytest.raises(InputError, match="--lora.quantize 4bit needs whole weights in each process"):
        check_lora(narrow, is_sharded=True)
    check_launch(LaunchOptions(file), {"sft.": SFTOptions(lora=LORA)})


def test_a_launched_training_gets_the_flags_of_its_adapters() -> None:
    lora = LoraOptions(r=4, target_modules=("q_proj", "v_proj"), merge=True)
    flags = flags_of(SFTOptions(lora=lora))
    expected = ["--lora.r", "4", "--lora.target-modules", "q_proj", "v_proj", "--lora.merge"]
    start = flags.index("--lora.r")
    assert flags[start : start + len(expected)] == expected
    assert not [flag for flag in flags_of(SFTOptions()) if "lora" in flag]
