"""One type for all models of a run: trained in float32, saved as the base model is, float32 on a processor."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from engines.local.transformers_engine import TransformersEngine
from engines.models import checkpoint_dtype, inference_dtype
from records import Prompt
from records.store import read_rows
from tests.tiny import save_in_bfloat16, save_tiny_model
from tests.trainer.training.test_autocast import CHATS, PAIRS, STEPS, dpo, ift, kto, orpo, reward_model, sft, simpo
from trainer.ppo.options import PPOOptions
from trainer.ppo.rewards import RewardSource
from trainer.ppo.trainer import PPOStep, checkpoints_of, log_of, train_ppo
from trainer.training.checkpoints import Checkpoints, checkpoints_in

FAST = STEPS | {"batch_size": 2}


@pytest.fixture(scope="module")
def low(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint in bfloat16, as most are."""
    place = tmp_path_factory.mktemp("low")
    folder = save_in_bfloat16(save_tiny_model(place / "tiny"), place / "model")
    assert types(folder) == {torch.bfloat16} and checkpoint_dtype(folder) == "bfloat16"
    return folder


@pytest.fixture(scope="module")
def high(low: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same weights in float32."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("high") / "model"
    AutoModelForCausalLM.from_pretrained(low, dtype=torch.float32).save_pretrained(folder)
    AutoTokenizer.from_pretrained(low).save_pretrained(folder)
    return folder


def types(folder: Path) -> set[torch.dtype]:
    return {tensor.dtype for path in folder.glob("model*.safetensors") for tensor in load_file(path).values()}


def rounded(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor.bfloat16() for name, tensor in load_file(folder / "model.safetensors").items()}


@pytest.mark.parametrize("train", [sft, ift, dpo, orpo, simpo, kto], ids=lambda train: train.__name__)
def test_a_model_is_saved_as_its_parent_was_and_is_that_of_float32_rounded_once(
    train: Callable[[Path, Path], Any], low: Path, high: Path, tmp_path: Path
) -> None:
    train(low, tmp_path / "low")
    train(high, tmp_path / "high")
    assert types(tmp_path / "low") == {torch.bfloat16} and types(tmp_path / "high") == {torch.float32}
    assert json.loads((tmp_path / "low" / "config.json").read_text())["dtype"] == "bfloat16"
    ours, theirs = load_file(tmp_path / "low" / "model.safetensors"), rounded(tmp_path / "high")
    assert ours.keys() == theirs.keys()  # tied weights are one tensor still
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    before = load_file(low / "model.safetensors")
    assert not all(torch.equal(ours[name], before[name]) for name in ours)


def test_checkpoints_are_saved_so_too_and_a_reward_model_stays_exact(low: Path, tmp_path: Path) -> None:
    from trainer.dpo.options import DPOOptions
    from trainer.dpo.train import train_dpo

    checkpoints = Checkpoints(tmp_path / "checkpoints", 1)
    train_dpo(low, tmp_path / "model", PAIRS, DPOOptions(**FAST), 0, checkpoints=checkpoints)
    [kept] = checkpoints_in(checkpoints.folder)
    assert types(kept) == {torch.bfloat16} and checkpoint_dtype(kept) == "bfloat16"
    reward_model(low, tmp_path / "reward")
    assert types(tmp_path / "reward") == {torch.float32} and checkpoint_dtype(tmp_path / "reward") == "float32"


def test_a_training_that_goes_on_has_lost_nothing_to_rounding(
    low: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer.sft.options import SFTOptions
    from trainer.sft.train import train_sft

    options = SFTOptions(**FAST | {"save_minutes": 1e-9}, epochs=2)
    train_sft(low, tmp_path / "whole", CHATS, options, 0)

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("trainer.training.fit.write_weights", killed)
        with pytest.raises(KeyboardInterrupt):
            train_sft(low, tmp_path / "stopped", CHATS, options, 0)
    states = list((tmp_path / "stopped.state").glob("checkpoint-*"))
    assert states and all(types(state) == {torch.float32} for state in states)
    train_sft(low, tmp_path / "stopped", CHATS, options, 0)
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "stopped"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def ppo(model: Path, out: Path, steps: int) -> list[dict[str, Any]]:
    import msgspec

    options = PPOOptions(
        rollout_batch_size=4, step_batch_size=4, micro_batch_size=4, generation_batch_size=4, response_length=4,
        steps=steps, warmup_steps=0, learning_rate=1e-3, save_every_n_steps=1,
    )  # fmt: skip
    source = RewardSource("length", lambda _, texts: [float(len(text)) for text in texts])
    train_ppo(model, out, [Prompt(id="p", prompt="say it")], source, options, 0)
    return [msgspec.structs.asdict(row) | {"seconds": 0} for row in read_rows(log_of(out), PPOStep)]


def test_ppo_saves_as_its_parent_was_and_goes_on_in_float32(
    low: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ppo(low, tmp_path / "whole", 3)
    assert types(tmp_path / "whole") == {torch.bfloat16}
    kept = checkpoints_in(checkpoints_of(tmp_path / "whole"))
    assert all(types(folder) == {torch.bfloat16} for folder in kept)
    assert not any((folder / "float32.safetensors").exists() for folder in kept), "nothing goes on from a finished one"

    import trainer.ppo.trainer as module

    with monkeypatch.context() as patch:
        step = module._Trainer.step

        def stopping(self: Any, *args: Any) -> Any:
            if self.done.step == 2:
                step(self, *args)  # its beginning saves step 2
                raise KeyboardInterrupt
            return step(self, *args)

        patch.setattr(module._Trainer, "step", stopping)
        with pytest.raises(KeyboardInterrupt):
            ppo(low, tmp_path / "stopped", 3)
    *old, last = checkpoints_in(checkpoints_of(tmp_path / "stopped"))
    assert (last / "float32.safetensors").exists()
    assert not any((folder / "float32.safetensors").exists() for folder in old)  # only the last one is gone on from
    assert ppo(low, tmp_path / "stopped", 3) == whole


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"dtype": "bfloat16"}, "bfloat16"), ({"torch_dtype": "float16"}, "float16"),
        ({"text_config": {"dtype": "bfloat16"}}, "bfloat16"), ({"dtype": "torch.bfloat16"}, "bfloat16"),
        ({}, "float32"),
    ],
)  # fmt: skip
def test_a_checkpoints_type_is_read_from_its_settings_or_its_weights(
    tmp_path: Path, settings: dict[str, Any], expected: str
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(settings))
    assert checkpoint_dtype(tmp_path) == expected


def test_a_checkpoint_whose_settings_name_no_type_has_that_of_its_weights(low: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes((low / "model.safetensors").read_bytes())
    assert checkpoint_dtype(tmp_path) == "bfloat16"


def test_all_iterations_of_a_run_answer_in_the_type_of_its_base_model(
    low: Path, high: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    for place, model in (("iter0/model", low), ("iter1/model", high), ("iter2/checkpoints/step-000001", high)):
        (run / place).parent.mkdir(parents=True)
        (run / place).symlink_to(model, target_is_directory=True)
    places = [run / "iter0/model", run / "iter1/model", run / "iter2/checkpoints/step-000001"]
    assert [inference_dtype(place) for place in places] == ["float32"] * 3  # on a processor
    engine = TransformersEngine.load(run / "iter0" / "model", "iter0")
    assert engine.model.dtype == torch.float32
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [inference_dtype(place) for place in places] == ["bfloat16"] * 3
    assert (inference_dtype(low), inference_dtype(high)) == ("bfloat16", "float32")
    monkeypatch.chdir(run / "iter1")
    assert inference_dtype(Path("model")) == "bfloat16"


def test_a_low_precision_checkpoint_is_trained_in_float32(low: Path) -> None:
    from trainer.training.fit import load_policy

    model, _ = load_policy(low)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
