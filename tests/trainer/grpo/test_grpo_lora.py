"""GRPO and RLOO learn adapters: the reward goes up, and a kill changes nothing."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from console.errors import InputError
from engines.adapters import is_adapter, weights_folder
from tests.trainer.grpo.test_grpo import CHECKS, PROMPTS, SMALL
from tests.trainer.ppo.test_ppo import save_nine
from tests.trainer.training.test_resume import ALWAYS, killed_after
from trainer.grpo.options import check_grpo
from trainer.grpo.train import train_grpo
from trainer.training.options import LoraOptions
from trainer.training.outcome import Trained

ADAPTED = replace(SMALL, beta=0.01, learning_rate=5e-2, lora=LoraOptions(r=4, alpha=8), save_minutes=ALWAYS)


def test_vllm_does_not_draw_for_an_adapter_in_training() -> None:
    with pytest.raises(InputError, match="vLLM cannot follow an adapter in training: leave out --rollout-engine"):
        check_grpo(replace(ADAPTED, rollout_engine="vllm"), len(PROMPTS))


def test_vllm_does_not_draw_on_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.grpo.options.has_gpu", lambda: False)
    with pytest.raises(InputError, match="--rollout-engine vllm needs a GPU in trainer.grpo: leave it out"):
        check_grpo(replace(SMALL, rollout_engine="vllm"), len(PROMPTS))


@pytest.mark.parametrize("method", ["grpo", "rloo"])
def test_an_adapter_is_rewarded_and_a_killed_training_of_it_ends_with_the_same_bytes(
    method: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def train(parent: Path, out: Path) -> Trained:
        return train_grpo(parent, out, PROMPTS, CHECKS, replace(ADAPTED, method=method), seed=0)

    nine = save_nine(tmp_path / "nine")
    trained = train(nine, tmp_path / "first")
    assert trained.metrics["reward_last"] > trained.metrics["reward_first"] + 1
    whole = train(tmp_path / "first", tmp_path / "whole")
    killed_after(4, train, tmp_path / "first", tmp_path / "out", monkeypatch)
    resumed = train(tmp_path / "first", tmp_path / "out")
    assert resumed.n_steps == whole.n_steps == 8
    for name in ("first", "whole", "out"):
        assert is_adapter(tmp_path / name) and weights_folder(tmp_path / name) == nine
        assert not [path for path in (tmp_path / name).iterdir() if path.is_dir()]
    one, other = (tmp_path / name / "adapter_model.safetensors" for name in ("whole", "out"))
    assert one.read_bytes() == other.read_bytes()
    assert whole.metrics["reward_first"] > trained.metrics["reward_first"]
