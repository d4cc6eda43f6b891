from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

import trainer.training.fit
from records import Pair, Response, messages_of
from trainer.dpo.options import DPOOptions
from trainer.dpo.train import train_dpo
from trainer.ift.options import IFTOptions
from trainer.ift.trainer import train_ift
from trainer.reward_model.bottleneck_options import BottleneckOptions
from trainer.reward_model.options import RewardOptions
from trainer.reward_model.train import train_reward_model
from trainer.runs.ledger import _deciding
from trainer.sft.options import SFTOptions
from trainer.sft.train import train_sft
from trainer.training.outcome import Trained, claim_folder, work_of
from trainer.training.resume import STATE

ALWAYS = 1e-9
"""Minutes: every step is saved."""
CHATS = [
    [{"role": "user", "content": f"say {n}"}, {"role": "assistant", "content": f"point {n} " * (1 + n % 3)}]
    for n in range(10)
]
SHARED: dict[str, Any] = {"learning_rate": 3e-3, "batch_size": 4, "epochs": 2, "save_minutes": ALWAYS}
N_STEPS = 6
Train = Callable[[Path, Path], Trained]


def pair(n: int) -> Pair:
    sides = {name: [{"role": "assistant", "content": f"{name} {n} " * (1 + n % 3)}] for name in ("chosen", "rejected")}
    return Pair(prompt=messages_of(f"Question {n}?"), prompt_id=str(n), **sides)


def view(n: int, text: str) -> Response:
    return Response(id=f"{n} {text}", prompt_id=str(n), prompt=f"Question {n}?", response=text, model="policy")


PAIRS = [pair(n) for n in range(10)]
VIEWS = [(view(n, "one thing"), view(n, "another")) for n in range(10)]


def sft(parent: Path, out: Path) -> Trained:
    return train_sft(parent, out, CHATS, SFTOptions(**SHARED), seed=1)


def dpo(parent: Path, out: Path) -> Trained:
    return train_dpo(parent, out, PAIRS, DPOOptions(**SHARED), seed=1)


def reward_with_bottleneck(parent: Path, out: Path) -> Trained:
    options, bottleneck = RewardOptions(**SHARED), BottleneckOptions(z_dim=8)
    return train_reward_model(parent, out, PAIRS, options, 1, samples=VIEWS, bottleneck=bottleneck)


def sampled_ift(parent: Path, out: Path) -> Trained:
    return train_ift(parent, out, CHATS, IFTOptions(**SHARED, prediction="sampled"), seed=1)


class Killed(BaseException):
    """What no except clause of a library catches."""


def killed_after(n_steps: int, train: Train, parent: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train and end like a killed process before step `n_steps` + 1."""
    from transformers import TrainerCallback

    watch = trainer.training.fit.Watch

    class Killer(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == n_steps:
                raise Killed

    def watched(made: Any, *rest: Any) -> Any:
        made.add_callback(Killer())
        return watch(made, *rest)

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(trainer.training.fit, "Watch", watched)
        train(parent, out)


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def states(out: Path) -> Sequence[str]:
    return sorted(path.parent.name for path in work_of(out).glob(f"*/{STATE}"))


@pytest.mark.parametrize("train", [sft, dpo, reward_with_bottleneck, sampled_ift])
def test_a_killed_training_goes_on_and_ends_with_the_model_of_an_undisturbed_one(
    train: Train, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = train(tiny_model, tmp_path / "whole")
    assert whole.n_steps == N_STEPS and not work_of(tmp_path / "whole").exists()
    killed_after(4, train, tiny_model, tmp_path / "out", monkeypatch)
    assert not (tmp_path / "out").exists() and states(tmp_path / "out") == ["checkpoint-3", "checkpoint-4"]
    capsys.readouterr()
    resumed = train(tiny_model, tmp_path / "out")
    assert f"resuming, 4 of {N_STEPS} done" in capsys.readouterr().err
    assert weights(tmp_path / "out") == weights(tmp_path / "whole")
    assert resumed.loss == pytest.approx(whole.loss, abs=1e-12) and resumed.n_steps == N_STEPS
    assert not work_of(tmp_path / "out").exists()


def test_a_state_that_is_not_whole_is_not_gone_on_from(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sft(tiny_model, tmp_path / "whole")
    killed_after(4, sft, tiny_model, tmp_path / "out", monkeypatch)
    (work_of(tmp_path / "out") / "checkpoint-4" / STATE).unlink()
    capsys.readouterr()
    sft(tiny_model, tmp_path / "out")
    assert f"resuming, 3 of {N_STEPS} done" in capsys.readouterr().err
    assert weights(tmp_path / "out") == weights(tmp_path / "whole")


@pytest.mark.parametrize("other", ["settings", "data", "parent"])
def test_the_state_of_another_training_is_set_aside(
    other: str, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    parent = shutil.copytree(tiny_model, tmp_path / "parent")
    killed_after(2, sft, parent, tmp_path / "out", monkeypatch)
    options, chats = SFTOptions(**SHARED), CHATS
    if other == "settings":
        options = replace(options, learning_rate=1e-3)
    elif other == "data":
        chats = CHATS[::-1]
    else:
        (parent / "model.safetensors").touch()
    capsys.readouterr()
    train_sft(parent, tmp_path / "out", chats, options, seed=1)
    said = capsys.readouterr().err
    assert "set aside, it is the state of another training" in said and "resuming" not in said
    aside = tmp_path / "out.state.1"
    assert sorted(path.parent.name for path in aside.glob(f"*/{STATE}")) == ["checkpoint-1", "checkpoint-2"]


def test_no_state_is_kept_where_none_is_asked_for_or_the_training_is_short(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, minutes in (("none", 0.0), ("short", SFTOptions().save_minutes)):

        def train(parent: Path, out: Path, minutes: float = minutes) -> Trained:
            return train_sft(parent, out, CHATS, replace(SFTOptions(**SHARED), save_minutes=minutes), seed=1)

        killed_after(4, train, tiny_model, tmp_path / name, monkeypatch)
        assert states(tmp_path / name) == []


def test_a_state_holds_no_pickled_settings_and_fresh_sets_it_aside(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_after(2, sft, tiny_model, tmp_path / "out", monkeypatch)
    work = work_of(tmp_path / "out")
    assert not list(work.rglob("training_args.bin"))
    claim_folder(tmp_path / "out", fresh=False)
    assert states(tmp_path / "out")
    claim_folder(tmp_path / "out", fresh=True)
    assert not work.exists() and work.with_name("out.state.1").exists()


def test_how_often_a_state_is_saved_may_change_in_a_run_that_has_begun() -> None:
    before = {"seed": 1, "sft": {"epochs": 1, "save_minutes": 30.0}, "gates": {}}
    assert _deciding(before) == _deciding({"seed": 1, "sft": {"epochs": 1, "save_minutes": 5.0}})
    assert _deciding(before) != _deciding({"seed": 1, "sft": {"epochs": 2, "save_minutes": 30.0}})


def test_the_seed_is_part_of_what_a_training_is(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_after(2, sft, tiny_model, tmp_path / "out", monkeypatch)
    key = msgspec.json.decode((work_of(tmp_path / "out") / "checkpoint-2" / STATE).read_bytes())["key"]

    def other(parent: Path, out: Path) -> Trained:
        return train_sft(parent, out, CHATS, SFTOptions(**SHARED), seed=2)

    killed_after(2, other, tiny_model, tmp_path / "out", monkeypatch)
    assert msgspec.json.decode((work_of(tmp_path / "out") / "checkpoint-2" / STATE).read_bytes())["key"] != key
