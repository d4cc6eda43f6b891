"""What a launch on several processes is checked for, and how its settings, words and errors travel."""

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from console.command import parse
from console.errors import InputError, TrainingError
from tests.conftest import ROOT
from trainer.dpo.__main__ import Config as DPOConfig
from trainer.dpo.options import DPOOptions
from trainer.loop import rounds
from trainer.loop.recipe import Config
from trainer.ppo.options import PPOOptions, check_ppo
from trainer.sft.options import SFTOptions
from trainer.training import launch, processes
from trainer.training.fit import load_policy, trainer_settings
from trainer.training.launch import LaunchOptions, check_launch
from trainer.training.options import check_options


def test_the_batch_is_that_of_all_processes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    options = SFTOptions(batch_size=12, micro_batch_size=2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "3")
    check_options(options)
    settings = trainer_settings(options, tmp_path, 0)
    assert settings["gradient_accumulation_steps"] * settings["per_device_train_batch_size"] * 3 == 12
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(InputError, match=r"--batch-size \(12\) must be a multiple of --micro-batch-size \(2\) times 4"):
        check_options(options)


@pytest.mark.parametrize(("share", "n_warmup"), [(0.0, 0), (0.1, 4), (1.0, 40)])
def test_a_share_of_the_steps_is_warmed_up_all_of_them_too(tmp_path: Path, share: float, n_warmup: int) -> None:
    from transformers import TrainingArguments

    settings = trainer_settings(SFTOptions(warmup_share=share), tmp_path, 0)
    arguments = TrainingArguments(**{name: value for name, value in settings.items() if name != "max_length"})
    assert arguments.get_warmup_steps(40) == n_warmup


WRONG_SHARDING = pytest.mark.parametrize(
    ("setting", "value", "right"),
    [
        ("fsdp_state_dict_type", "SHARDED_STATE_DICT", "FULL_STATE_DICT"),
        ("fsdp_version", "1", "2"),
        ("fsdp_cpu_ram_efficient_loading", "false", "true"),
        ("fsdp_activation_checkpointing", "true", "false"),
        ("fsdp_offload_params", "true", "false"),
    ],
)


@WRONG_SHARDING
def test_sharding_that_would_lose_the_model_is_refused(
    setting: str, value: str, right: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    around = {"LOCAL_RANK": "0", "WORLD_SIZE": "2", "ACCELERATE_USE_FSDP": "true"}
    for name, good in (processes.SHARDING | around).items():
        monkeypatch.setenv(name, good)
    check_options(SFTOptions())
    monkeypatch.setenv(setting.upper(), value)
    with pytest.raises(InputError, match=f"set {setting} to {right} in accelerate's file"):
        check_options(SFTOptions())


@WRONG_SHARDING
def test_a_loop_refuses_such_sharding_before_its_first_stage(
    setting: str, value: str, right: str, tmp_path: Path
) -> None:
    file = tmp_path / "fsdp.yaml"
    text = (ROOT / "recipes" / "accelerate_fsdp.yaml").read_text()
    check_launch(LaunchOptions(accelerate=ROOT / "recipes" / "accelerate_fsdp.yaml"), {})
    file.write_text(re.sub(f"  {setting}: .*", f"  {setting}: {value}", text))
    with pytest.raises(InputError, match=f"set {setting} to {right} in {file}"):
        check_launch(LaunchOptions(accelerate=file), {})


def test_a_loop_reads_no_file_whose_fsdp_config_is_no_table(tmp_path: Path) -> None:
    file = tmp_path / "fsdp.yaml"
    file.write_text("distributed_type: FSDP\nnum_processes: 2\nfsdp_config: [1]\n")
    with pytest.raises(InputError, match="fsdp.yaml: not a config file of accelerate"):
        check_launch(LaunchOptions(accelerate=file), {})


def test_ppo_with_sharded_weights_has_no_optimizer_but_adamw(monkeypatch: pytest.MonkeyPatch) -> None:
    around = {"LOCAL_RANK": "0", "WORLD_SIZE": "2", "ACCELERATE_USE_FSDP": "true"}
    for name, value in (processes.SHARDING | around).items():
        monkeypatch.setenv(name, value)
    check_ppo(PPOOptions(optim="adamw_torch_fused"), 2)
    with pytest.raises(InputError, match="--optim adafactor: PPO deals out only AdamW's state again"):
        check_ppo(PPOOptions(optim="adafactor"), 2)


def test_a_sharded_model_of_low_precision_keeps_its_outputs_and_gradients_exact() -> None:
    import torch
    from torch.distributed.fsdp import MixedPrecisionPolicy

    from trainer.training.sharding import keep_precision

    low = torch.bfloat16
    plugin = SimpleNamespace(mixed_precision_policy=MixedPrecisionPolicy(low, low, low))
    keep_precision(SimpleNamespace(accelerator=SimpleNamespace(state=SimpleNamespace(fsdp_plugin=plugin))))
    assert plugin.mixed_precision_policy == MixedPrecisionPolicy(low, torch.float32, None)


@pytest.mark.parametrize(
    ("changes", "options", "problem"),
    [
        ({}, SFTOptions(batch_size=6), "times 2 processes"),
        ({}, SFTOptions(optim="nope"), "--sft.optim nope: no such optimizer"),
        ({"distributed_type": "MULTI_CPU"}, SFTOptions(), "would start one process"),
        ({"num_machines": 2}, SFTOptions(), "set num_machines to 1"),
        ({"num_processes": "many"}, SFTOptions(), "not a config file of accelerate"),
    ],
)
def test_a_launch_that_cannot_do_is_refused_before_anything_is_paid_for(
    changes: dict[str, Any], options: SFTOptions, problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "two.yaml"
    settings = {"distributed_type": "MULTI_GPU", "num_processes": 2, "num_machines": 1, "machine_rank": 0}
    rest = {"compute_environment": "LOCAL_MACHINE", "mixed_precision": "no", "use_cpu": False, "debug": False}
    path.write_text("".join(f"{name}: {json.dumps(value)}\n" for name, value in (settings | rest | changes).items()))
    with pytest.raises(InputError, match=problem):
        check_launch(LaunchOptions(path), {"sft.": options})
    with pytest.raises(InputError, match="(?i)no such file"):
        check_launch(LaunchOptions(tmp_path / "none.yaml"), {})


def test_a_launch_passes_on_the_words_and_the_error_but_not_the_launchers_report(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    python = tmp_path / "python"
    script = "echo 'DPO: 1 of 2' >&2; echo a table; echo 'error: no pairs' >&2; echo Traceback >&2; exit 1"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    monkeypatch.setattr(launch.sys, "executable", str(python))
    with pytest.raises(TrainingError, match="^iter2 DPO: no pairs$"):
        launch.launch(LaunchOptions(), "trainer.dpo", [], "iter2 DPO")
    printed, said = capfd.readouterr()
    assert printed == "" and "DPO: 1 of 2" in said and "Traceback" not in said and "no pairs" not in said


@pytest.mark.parametrize("launched", [None, LaunchOptions()], ids=["here", "launched"])
def test_an_error_of_a_loops_training_names_the_flags_of_the_loop(
    launched: LaunchOptions | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def failed(*_: object) -> None:
        raise TrainingError("--max-length (8 tokens) with --lora.r 16")

    for name in ("train_sft", "train_dpo", "launch"):
        monkeypatch.setattr(rounds, name, failed)
    config = Config(launch=launched)
    with pytest.raises(TrainingError, match="^--sft.max-length .8 tokens. with --lora.r 16$"):
        rounds._sft(tmp_path, tmp_path / "model", [], config, "iter1 SFT")
    with pytest.raises(TrainingError, match="^--dpo.max-length .8 tokens. with --lora.r 16$"):
        rounds._dpo(tmp_path, tmp_path / "model", [], DPOOptions(), config, "iter2 DPO", None)


def test_the_options_of_a_training_come_back_from_its_flags() -> None:
    options = replace(DPOOptions(), learning_rate=1.23456789e-7, warmup_share=0.0)
    assert parse(DPOConfig, launch.flags_of(options), "dpo").training == options


@pytest.mark.parametrize("rank", ["0", "1"])
def test_sharding_on_processors_is_refused_by_every_process_before_a_model_is_made(
    rank: str, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accelerate.utils import DistributedType

    from trainer.training import processes, sharding

    around = {"LOCAL_RANK": rank, "RANK": rank, "WORLD_SIZE": "2", "ACCELERATE_USE_FSDP": "true"}
    for name, value in (processes.SHARDING | around).items():
        monkeypatch.setenv(name, value)
    for kind in (DistributedType.MULTI_CPU, DistributedType.NO):
        monkeypatch.setattr(sharding, "PartialState", lambda kind=kind: SimpleNamespace(distributed_type=kind))
        with pytest.raises(InputError, match="shards weights on GPUs only.*distributed_type: MULTI_CPU"):
            load_policy(tiny_model)
