"""The disk space of a run, by formula."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from trainer.early_stop.options import EarlyStopOptions
from trainer.loop.plan.disk import DiskUse, disk_use, told
from trainer.loop.plan.work import Work
from trainer.loop.recipe import Config
from trainer.training.memory.size import ModelSize
from trainer.training.options import LoraOptions

SIZE = ModelSize(
    n_parameters=1_000_000, n_layers=2, hidden=8, vocabulary=9, key_value_width=8, n_linear=600_000, n_features=5_000
)
CONFIG = Config(iterations=3)


@pytest.mark.parametrize(("dtype", "width"), [("float32", 4), ("bfloat16", 2)])
def test_models_are_saved_in_the_type_of_the_base_and_states_in_float32(dtype: str, width: int, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"dtype": dtype}))
    use = disk_use(SIZE, tmp_path, [], CONFIG, 3)
    assert use == DiskUse(3, 3 * width * 1e6, 3 * 12 * 1e6)
    assert disk_use(SIZE, tmp_path, [], CONFIG, 1).kept == width * 1e6


def test_adapters_and_checkpoints_count_for_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"dtype": "bfloat16"}))
    adapted = replace(CONFIG, lora=LoraOptions(r=4))
    # float32 adapters of 4 times 5,000 numbers
    assert disk_use(SIZE, tmp_path, [], adapted, 3) == DiskUse(3, 3 * 4 * 20_000, 3 * 12 * 20_000)
    stopping = replace(CONFIG, early_stop=EarlyStopOptions(every_n_steps=10))
    works = [Work("iter2 DPO, at most 64 pairs", "train", n_steps=25), Work("iter1 SFT", "train", n_steps=99)]
    assert disk_use(SIZE, tmp_path, works, stopping, 3).kept == (3 + 2) * 2e6


def test_too_little_space_is_told(tmp_path: Path) -> None:
    line = told(DiskUse(3, 2e9, 1e9), tmp_path / "not" / "there")
    assert line.startswith("disk: 2.0 GB for the models of 3 iterations, and up to 1.0 GB more in a training")
    assert "GB are free" in told(DiskUse(3, 1e18, 0.0), tmp_path)
