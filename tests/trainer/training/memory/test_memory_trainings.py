"""Trainings with other settings of memory learn the same: bfloat16 weights, checkpointed activations, packed rows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from console.errors import InputError, TrainingError
from records import Pair, Prompt
from records.rows import Chat, messages_of
from trainer.sft.options import SFTOptions

CHATS = [[*messages_of(f"say {n}"), {"role": "assistant", "content": f"point {n} " * (n % 4 + 1)}] for n in range(8)]
PAIRS = [
    Pair(
        prompt=messages_of(f"Question {n}?"),
        chosen=[{"role": "assistant", "content": f"It is {n}."}],
        rejected=[{"role": "assistant", "content": "No."}],
        prompt_id=str(n),
    )
    for n in range(4)
]  # fmt: skip
SLOW: dict[str, Any] = {
    "batch_size": 4,
    "micro_batch_size": 2,
    "learning_rate": 1e-6,
    "epochs": 10,
    "warmup_share": 0.0,
}


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def moved(parent: Path, model: Path) -> torch.Tensor:
    before, after = weights(parent), weights(model)
    return torch.cat([(after[name] - before[name]).flatten() for name in before])


def sft(parent: Path, out: Path, **settings: Any) -> Path:
    from trainer.sft.train import train_sft

    train_sft(parent, out, CHATS, SFTOptions(**{**SLOW, **settings}), 0)
    return out


def test_steps_far_below_a_bfloat16_digit_move_the_weights_as_in_float32(tiny_model: Path, tmp_path: Path) -> None:
    """20 steps of about 1e-6 each are 2e-5. A weight of 0.3 has a bfloat16 neighbour at 2e-3."""
    wide = moved(tiny_model, sft(tiny_model, tmp_path / "float32"))
    low = moved(tiny_model, sft(tiny_model, tmp_path / "bfloat16", dtype="bfloat16"))
    assert weights(tmp_path / "bfloat16").keys() == weights(tiny_model).keys()
    large = wide.abs() > 1e-6
    assert float(large.float().mean()) > 0.5
    # the products are of bfloat16, so that directions agree and not digits; what begins in bfloat16 is rounded once
    agree = torch.sign(wide[large]) == torch.sign(_since_rounding(tiny_model, low)[large])
    assert float(agree.float().mean()) > 0.85
    assert float(_since_rounding(tiny_model, low).abs().median()) == pytest.approx(float(wide.abs().median()), rel=0.2)


def _since_rounding(parent: Path, change: torch.Tensor) -> torch.Tensor:
    """Return how far weights moved from the parent's in bfloat16, with which such a training begins."""
    start = torch.cat([weight.flatten() for weight in weights(parent).values()])
    return start + change - start.bfloat16().float()


def test_without_the_float32_weights_such_steps_would_be_lost(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.training.fit.keep_float32", lambda trainer: None)
    low = moved(tiny_model, sft(tiny_model, tmp_path / "model", dtype="bfloat16"))
    assert float((_since_rounding(tiny_model, low) == 0).float().mean()) > 0.9


def test_a_killed_training_in_bfloat16_goes_on_bit_for_bit(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer.training import watch

    settings = {"dtype": "bfloat16", "learning_rate": 1e-4, "epochs": 2, "save_minutes": 1e-9}
    whole = weights(sft(tiny_model, tmp_path / "whole", **settings))
    end = watch.Watch.on_step_begin

    def killed(self: Any, args: Any, state: Any, control: Any, **more: Any) -> None:
        if state.global_step == 2:
            raise KeyboardInterrupt
        end(self, args, state, control, **more)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(watch.Watch, "on_step_begin", killed)
        sft(tiny_model, tmp_path / "killed", **settings)
    resumed = weights(sft(tiny_model, tmp_path / "killed", **settings))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def dpo(parent: Path, out: Path, **settings: Any) -> Any:
    from trainer.dpo.options import DPOOptions
    from trainer.dpo.train import train_dpo

    return train_dpo(parent, out, PAIRS, DPOOptions(**settings), 0)


def reward_model(parent: Path, out: Path, **settings: Any) -> Any:
    from trainer.reward_model.options import RewardOptions
    from trainer.reward_model.train import train_reward_model

    return train_reward_model(parent, out, PAIRS, RewardOptions(**settings), 0)


def kto(parent: Path, out: Path, **settings: Any) -> Any:
    from trainer.kto.options import KTOOptions
    from trainer.kto.train import train_kto

    return train_kto(parent, out, PAIRS, KTOOptions(**settings), 0)


def ppo(parent: Path, out: Path, **settings: Any) -> Any:
    from trainer.ppo.options import PPOOptions
    from trainer.ppo.rewards import RewardSource
    from trainer.ppo.trainer import train_ppo

    settings = {**settings, "rollout_batch_size": 4, "step_batch_size": 4, "steps": 2, "response_length": 8}
    settings |= {"save_every_n_steps": 1, "max_kl": 1e9}
    source = RewardSource("length", lambda prompts, texts: [float(len(text)) for text in texts], "digest")
    settings.pop("batch_size")
    return train_ppo(
        parent, out, [Prompt(id=str(n), prompt=f"say {n}") for n in range(4)], source, PPOOptions(**settings), 0
    )


@pytest.mark.parametrize("train", [dpo, kto, reward_model, ppo], ids=lambda train: train.__name__)
def test_a_trainer_learns_in_bfloat16_with_another_optimizer_and_saves_the_type_of_its_parent(
    train: Callable[..., Any], tiny_model: Path, tmp_path: Path
) -> None:
    settings = {"batch_size": 4, "micro_batch_size": 2, "learning_rate": 1e-3, "epochs": 3}
    settings |= {"dtype": "bfloat16", "optim": "adafactor", "attn": "eager", "activation_checkpointing": "on"}
    trained = train(tiny_model, tmp_path / "model", **settings)
    assert trained.loss == trained.loss
    after = weights(tmp_path / "model")
    assert {tensor.dtype for tensor in after.values()} == {torch.float32}
    before = weights(tiny_model)
    shared = [name for name in after if name in before]
    # more digits than bfloat16 has: the float32 weights were saved
    assert any(not torch.equal(after[name], after[name].bfloat16().float()) for name in shared)
    assert any(float((after[name] - before[name]).abs().max()) > 1e-3 for name in shared)


def test_a_stopped_ppo_training_goes_on_with_its_optimizer(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import trainer.ppo.trainer as module

    settings = {"batch_size": 4, "dtype": "bfloat16", "optim": "adafactor", "learning_rate": 1e-3}
    ppo(tiny_model, tmp_path / "whole", **settings)
    with monkeypatch.context() as patched, pytest.raises(TrainingError):
        patched.setattr(module._Trainer, "_checked_kl", _fails_at_two(module._Trainer._checked_kl))
        ppo(tiny_model, tmp_path / "stopped", **settings)
    ppo(tiny_model, tmp_path / "stopped", **settings)
    whole, resumed = weights(tmp_path / "whole"), weights(tmp_path / "stopped")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def _fails_at_two(checked: Callable[..., float]) -> Callable[..., float]:
    def failing(self: Any, answers: Any, step: int) -> float:
        kl = checked(self, answers, step)
        if step == 2:
            self._save_last()
            raise TrainingError("stopped")
        return kl

    return failing


def test_checkpointed_activations_change_nothing(tiny_model: Path, tmp_path: Path) -> None:
    kept, again = (
        weights(sft(tiny_model, tmp_path / name, learning_rate=1e-3, epochs=1, activation_checkpointing=name))
        for name in ("off", "on")
    )
    assert all(torch.equal(kept[name], again[name]) for name in kept)


@pytest.mark.parametrize(("attn", "weighted"), [("sdpa", False), ("sdpa", True), ("eager", False)])
def test_packed_rows_learn_what_padded_ones_do(
    attn: str, weighted: bool, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer.training.outcome import report_of

    if weighted:
        monkeypatch.setattr(f"{__name__}.CHATS", [Chat(chat, 1.0 + n) for n, chat in enumerate(CHATS)])
    settings = {"learning_rate": 1e-3, "epochs": 2, "attn": attn}
    padded, packed = (sft(tiny_model, tmp_path / str(on), packing=on, **settings) for on in (False, True))
    assert report_of(packed).loss == pytest.approx(report_of(padded).loss, abs=1e-5)
    distance = max(
        float((a - b).abs().max()) for a, b in zip(weights(padded).values(), weights(packed).values(), strict=True)
    )
    assert distance < 1e-5
    assert float(moved(tiny_model, packed).abs().max()) > 1e-3


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_model_whose_packed_examples_see_each_other_is_refused(
    dtype: str, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformers.masking_utils.find_packed_sequence_indices", lambda positions: None)
    with pytest.raises(InputError, match="the examples of a row see each other in LlamaForCausalLM with sdpa"):
        sft(tiny_model, tmp_path / "model", packing=True, dtype=dtype)
    assert not (tmp_path / "model").exists()


def test_a_row_that_is_rounded_unlike_an_example_alone_is_not_refused(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer.sft import packing

    computed = packing._logprobs

    def rounded(trainer: Any, batch: dict[str, Any]) -> torch.Tensor:
        logprobs = computed(trainer, batch)
        return logprobs + 0.1 * len(logprobs)  # kernels round a longer row in another way

    monkeypatch.setattr(packing, "_logprobs", rounded)
    sft(tiny_model, tmp_path / "model", packing=True, dtype="bfloat16", learning_rate=1e-3, epochs=1)
    assert (tmp_path / "model").exists()


def test_a_loss_that_is_not_a_number_names_the_examples_of_a_packed_row(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"example \d of 8 \('say \d' -> 'point"):
        sft(tiny_model, tmp_path / "model", packing=True, learning_rate=1e30)
