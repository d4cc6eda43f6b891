"""Names and packages are checked before anything loads, and `auto` is chosen by size and device."""

import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from console.command import parse
from console.errors import InputError
from records.rows import messages_of
from tests.conftest import ROOT
from trainer.ppo.options import PPOOptions, check_ppo
from trainer.sft.options import SFTOptions, check_sft
from trainer.training.launch import flags_of
from trainer.training.memory import choice, options
from trainer.training.memory.choice import Device, check_device, choose, settled
from trainer.training.memory.options import OPTIMIZERS, MemoryOptions, check_memory
from trainer.training.memory.size import WHOLE, Load, MemorySettings, model_size, training_bytes
from trainer.training.options import LoraOptions, check_options, deciding

GB, GIB = 1e9, 2**30
EIGHT_B = ROOT / "recipes" / "llama_3_1_8b.json"
N = 8_030_261_248
LORA = LoraOptions(r=16)
ASKED, ANSWERED = messages_of("Q?"), [{"role": "assistant", "content": "Yes."}]


def test_the_optimizers_are_those_of_transformers() -> None:
    from transformers.training_args import OptimizerNames

    assert OPTIMIZERS.keys() < {str(name.value) for name in OptimizerNames}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"optim": "adamw_trch"}, r"--optim adamw_trch: no such optimizer; the nearest are adamw_torch, "),
        ({"optim": "magic"}, r"--optim magic: no such optimizer; there are adamw_torch, adamw_torch_fused, adafactor"),
        ({"optim": "adamw_torch_8bit"}, "--optim adamw_torch_8bit needs the package torchao: pip install torchao; or"),
        ({"optim": "paged_adamw_8bit"}, "paged_adamw_8bit needs the package bitsandbytes: pip install bitsandbytes; "),
        ({"attn": "flash_attn_2"}, "--attn flash_attn_2: no such attention; the nearest are flash_attention_2, "),
        (
            {"attn": "flash_attention_2"},
            "needs the package flash_attn or kernels: pip install kernels; or leave",
        ),
        ({"liger": True}, "--liger needs the package liger-kernel: pip install liger-kernel; or leave it out"),
    ],
)
def test_a_name_that_is_wrong_or_a_package_that_is_missing_is_told(
    setting: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=message):
        check_options(SFTOptions(**setting))
    with pytest.raises(InputError, match=message):
        check_ppo(PPOOptions(**setting), 1)


def test_sharded_weights_take_no_bfloat16_and_no_optimizer_of_bitsandbytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "find_spec", lambda name: object())
    with pytest.raises(InputError, match=r"sharded weights are float32, .* leave out --dtype"):
        check_memory(MemoryOptions(dtype="bfloat16"), is_sharded=True, adapted=False)
    with pytest.raises(InputError, match="bitsandbytes has no sharded optimizers; use adamw_torch_fused or"):
        check_memory(MemoryOptions(optim="adamw_8bit"), is_sharded=True, adapted=False)
    with pytest.raises(InputError, match="PPO saves .* as safetensors, which do not hold torchao's numbers"):
        check_ppo(PPOOptions(optim="adamw_torch_8bit"), 1)


def test_there_is_nothing_to_pack_in_micro_batches_of_one() -> None:
    with pytest.raises(InputError, match="--packing joins the examples of a micro-batch: give --micro-batch-size 2"):
        check_sft(SFTOptions(packing=True, micro_batch_size=1))


def test_a_device_or_a_model_without_the_attention_or_kernels_is_told(tiny_model: Path) -> None:
    size, here = model_size(tiny_model), Device(24 * GIB, on_gpu=False)
    assert size.attentions[:2] == ("sdpa", "eager")
    for setting, needs in (({"attn": "flash_attention_2"}, "--attn flash_attention_2"), ({"liger": True}, "--liger")):
        with pytest.raises(InputError, match=f"{needs} needs a GPU, and there is none here; leave it out"):
            check_device(MemoryOptions(**setting), size, here, tiny_model)
    bare = replace(size, attentions=("eager",))
    with pytest.raises(InputError, match=r"--attn sdpa: .* has no such attention; it has eager"):
        check_device(MemoryOptions(attn="sdpa"), bare, here, tiny_model)


def test_8b_in_training_by_hand() -> None:
    size = model_size(EIGHT_B)
    assert size.n_parameters == N
    activations = 1000 * (2 * 32 * 4096 + 34 * 4096 + 8 * 128256)
    adapters = 16 * size.n_features

    def parts(settings: MemorySettings, lora: LoraOptions = WHOLE) -> tuple[float, float, float]:
        found = training_bytes(size, Load(1000), settings, lora)
        assert found.activations == pytest.approx(activations)
        assert found.total == pytest.approx(found.weights + found.gradients + found.optimizer + activations)
        return found.weights, found.gradients, found.optimizer

    assert parts(MemorySettings()) == pytest.approx((4 * N, 4 * N, 8 * N))
    # the float32 weights of the optimizer take the place of the bfloat16 ones
    assert parts(MemorySettings("bfloat16")) == pytest.approx((4 * N, 4 * N, 8 * N))
    assert parts(MemorySettings("bfloat16", "adafactor")) == pytest.approx((4 * N, 4 * N, 0))
    # two scales of four bytes to 256 weights, for two moments of one byte
    assert parts(MemorySettings("bfloat16", "adamw_torch_8bit")) == pytest.approx((2 * N, 2 * N, 2.03125 * N))
    assert parts(MemorySettings("bfloat16"), LORA) == pytest.approx((2 * N + 4 * adapters, 4 * adapters, 8 * adapters))
    assert parts(MemorySettings("float32"), LORA)[0] == pytest.approx(4 * N + 4 * adapters)
    kept = training_bytes(size, Load(1000), MemorySettings(checkpointing=False)).activations
    assert kept == pytest.approx(1000 * (32 * 34 * 4096 + 8 * 128256))


def test_further_models_and_a_processors_float32_count() -> None:
    size, settings = model_size(EIGHT_B), MemorySettings()
    one = training_bytes(size, Load(10), settings)
    ppo = training_bytes(size, Load(10, n_trained=2, n_frozen=1), settings)
    assert ppo.weights == pytest.approx(2 * one.weights + 4 * N)
    assert (ppo.gradients, ppo.optimizer) == pytest.approx((2 * one.gradients, 2 * one.optimizer))
    wide = training_bytes(size, Load(10, number_bytes=4), settings)
    assert wide.activations == pytest.approx(10 * (4 * 32 * 4096 + 68 * 4096 + 8 * 128256))


def chosen(gib: float, *, on_gpu: bool = True, **settings: Any) -> Any:
    return choose(SFTOptions(**settings), model_size(EIGHT_B), Load(2048), Device(gib * GIB, on_gpu))


def test_the_defaults_depend_on_size_and_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "find_spec", lambda name: object())
    assert chosen(80).settings == MemorySettings("bfloat16", "adamw_torch_8bit", "sdpa", True)
    assert chosen(80).fits and not chosen(40).fits
    assert chosen(160).settings == MemorySettings("float32", "adamw_torch_fused", "sdpa", True)
    assert chosen(400).settings.checkpointing is False
    assert chosen(24, lora=LORA).settings == MemorySettings("bfloat16", "adamw_torch_fused", "sdpa", True)
    # a processor computes in float32
    assert chosen(80, on_gpu=False).settings == MemorySettings("float32", "adamw_torch_fused", "sdpa", True)
    # what is given is taken
    assert chosen(80, dtype="float32").settings.optim == "adamw_torch_fused"
    assert chosen(80, optim="adafactor").settings == MemorySettings("float32", "adafactor", "sdpa", True)
    assert chosen(400, activation_checkpointing="on", attn="eager").settings.checkpointing
    monkeypatch.setattr(choice, "find_spec", lambda name: None)
    assert chosen(80).settings.dtype == "float32" and not chosen(80).fits


def test_a_small_model_keeps_its_activations_and_the_line_says_what_it_takes(
    tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settled(tiny_model, SFTOptions(), Load(2048), "SFT")
    assert settings == MemorySettings("float32", "adamw_torch_fused", "sdpa", checkpointing=False)
    said = capsys.readouterr().err
    assert said.startswith("SFT: float32, adamw_torch_fused, sdpa; at most 0.0 of ") and len(said) <= 80
    assert said.count("\n") == 1


def test_what_may_not_fit_is_said_with_the_ways_out(
    tiny_model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "this_device", lambda: Device(1e6, on_gpu=False))
    settled(tiny_model, SFTOptions(), Load(2048), "SFT")
    assert "SFT: this may not fit: --lora.r 16 takes least; --dtype bfloat16 with" in capsys.readouterr().err


def test_a_killed_training_of_an_earlier_version_goes_on() -> None:
    """Its key was made of settings that had none of these, and how activations are kept changes no number."""
    names = {"dtype", "optim", "attn", "activation_checkpointing", "liger", "packing"}
    assert not names & deciding(SFTOptions(activation_checkpointing="on")).keys()
    assert names & deciding(SFTOptions(dtype="bfloat16", packing=True)).keys() == {"dtype", "packing"}


def test_a_launched_training_gets_the_settings() -> None:
    given = SFTOptions(dtype="float32", optim="adafactor", attn="eager", activation_checkpointing="on", packing=True)
    words = " ".join(flags_of(given))
    assert "--dtype float32 --optim adafactor --attn eager --activation-checkpointing on" in words
    assert "--packing" in words and "--liger" not in words


def test_this_device_is_the_processor_here() -> None:
    if not torch.cuda.is_available():
        assert not choice.this_device().on_gpu and choice.this_device().bytes > GB


@pytest.mark.parametrize("module", ["sft", "dpo", "kto", "ift", "reward_model", "ppo", "grpo"])
def test_a_plan_says_what_the_training_takes(
    module: str, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rows.jsonl"
    row = {"prompt": "Q?", "chosen": "Yes.", "rejected": "No.", "messages": [*ASKED, *ANSWERED]}
    file.write_text(f"{json.dumps(row)}\n" * 64)
    words = [str(file), "--model", str(tiny_model), "--dry-run", "--out", str(tmp_path / "model"), "--json"]
    words += {
        "ppo": ["--reward", "builtins:len"],
        "grpo": ["--reward", "builtins:len"],
        "reward_model": ["--held-out-share", "0"],
    }.get(module, [])
    words += ["--optim", "adafactor", "--activation-checkpointing", "on"]
    command = import_module(f"trainer.{module}.__main__")
    command.main(parse(command.Config, words, module))
    plan = json.loads(capsys.readouterr().out)
    assert plan["settings"] == {"dtype": "float32", "optim": "adafactor", "attn": "sdpa", "checkpointing": True}
    n = model_size(tiny_model).n_parameters
    models = {"ppo": 3, "grpo": 2}.get(module, 1)
    assert plan["bytes"]["weights"] == 4 * n * models and plan["bytes"]["optimizer"] == 0
    assert plan["bytes"]["gradients"] == 4 * n * (2 if module == "ppo" else 1)
    assert plan["bytes"]["all"] == sum(part for name, part in plan["bytes"].items() if name != "all")
