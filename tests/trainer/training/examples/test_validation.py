"""A share of the prompts is held out, the model with the lowest loss on them is kept, and a kill changes nothing."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from console.errors import InputError
from tests.tiny import save_tiny_model
from tests.trainer.training.test_metrics import rows_of
from tests.trainer.training.test_resume import ALWAYS, PAIRS, VIEWS, killed_after
from tests.trainer.training.test_training import likelihood
from trainer.dpo.options import DPOOptions
from trainer.dpo.train import train_dpo
from trainer.ift.options import IFTOptions
from trainer.ift.trainer import train_ift
from trainer.kto.options import KTOOptions
from trainer.kto.train import train_kto
from trainer.orpo.options import ORPOOptions
from trainer.orpo.train import train_orpo
from trainer.reward_model.bottleneck_options import BottleneckOptions
from trainer.reward_model.options import RewardOptions
from trainer.reward_model.train import train_reward_model
from trainer.sft.options import SFTOptions
from trainer.sft.train import train_sft
from trainer.training.examples import validation
from trainer.training.examples.held_out import SHARE_FLAG, held_out_places, opening_of, prompt_key
from trainer.training.memory.float32 import WEIGHT
from trainer.training.options import LoraOptions, check_options, check_validation
from trainer.training.outcome import Trained, table_row, work_of

LETTERS = random.Random(0)
CHATS = [
    [{"role": "user", "content": f"say {n}"}, {"role": "assistant", "content": "".join(LETTERS.choices("abcdef", k=8))}]
    for n in range(10)
]
"""Answers that nobody can foresee, so that a model soon learns the others by heart."""
SHARED: dict[str, Any] = {
    "learning_rate": 0.03, "batch_size": 4, "epochs": 8, "warmup_share": 0.0, "save_minutes": ALWAYS,
    "validation_share": 0.4, "validation_steps": 2,
}  # fmt: skip
STOPPING = SFTOptions(**SHARED, patience=2)
WEIGHED = [msgspec.structs.replace(pair, weight=1.0 + n % 2) for n, pair in enumerate(PAIRS)]
FEW = SHARED | {"epochs": 2}


def sft(parent: Path, out: Path) -> Trained:
    return train_sft(parent, out, CHATS, STOPPING, seed=1)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Trained]:
    """An undisturbed training that stops early."""
    parent = save_tiny_model(tmp_path_factory.mktemp("validation") / "parent")
    return parent.with_name("whole"), sft(parent, parent.with_name("whole"))


def losses_of(out: Path) -> dict[int, float]:
    return {int(row["step"]): row["validation_loss"] for row in rows_of(out) if "validation_loss" in row}


def test_training_stops_after_patience_and_keeps_the_model_of_the_lowest_loss(whole: tuple[Path, Trained]) -> None:
    from transformers import AutoTokenizer

    out, trained = whole
    losses = losses_of(out)
    best = min(losses, key=lambda step: losses[step])
    assert list(losses) == list(range(2, best + 5, 2)) and best + 4 == trained.n_steps < 16, "two after the best"
    assert trained.metrics["validation/step"] == best and trained.metrics["validation/examples"] == 4
    assert table_row(trained, out)["validation loss"] == losses[best]
    _, held_out = held_out_places([prompt_key(opening_of(chat)) for chat in CHATS], 0.4, 1, SHARE_FLAG)
    # the kept weights have this loss: transformers' mean over micro-batches of two answers, by their tokens
    tokenizer = AutoTokenizer.from_pretrained(out)
    by_hand = []
    for pair in (held_out[:2], held_out[2:]):
        heads, wholes = ([tokens(tokenizer, CHATS[place], n) for place in pair] for n in (1, 2))
        nll = [-likelihood(out, CHATS[place]) for place in pair]
        by_hand.append(sum(nll) / (sum(wholes) - sum(heads)))
    assert losses[best] == pytest.approx(sum(by_hand) / 2, rel=1e-4)


def tokens(tokenizer: Any, chat: list[dict[str, str]], n_turns: int) -> int:
    return len(tokenizer.apply_chat_template(chat[:n_turns], add_generation_prompt=n_turns == 1, return_dict=False))


# transformers saves nothing else at a step whose measurement is no new best
@pytest.mark.parametrize(("n_steps", "n_saved"), [(3, 3), (12, 11)])
def test_a_killed_training_keeps_the_same_model_and_stops_at_the_same_step(
    n_steps: int,
    n_saved: int,
    whole: tuple[Path, Trained],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (out, trained), cut = whole, tmp_path / "cut"
    killed_after(n_steps, sft, out.with_name("parent"), cut, monkeypatch)
    resumed = sft(out.with_name("parent"), cut)
    told = capsys.readouterr().err
    assert f"resuming, {n_saved} of 16 done" in told and "the validation loss is lowest at step" in told
    assert resumed == replace(trained, loss=resumed.loss) and resumed.loss == pytest.approx(trained.loss, abs=1e-12)
    weights = [(folder / "model.safetensors").read_bytes() for folder in (out, cut)]
    assert weights[0] == weights[1] and rows_of(out) == rows_of(cut)
    assert not work_of(cut).exists()


@pytest.mark.parametrize(
    "train",
    [
        lambda parent, out: train_ift(parent, out, CHATS, IFTOptions(**FEW), 1),
        lambda parent, out: train_dpo(parent, out, WEIGHED, DPOOptions(**FEW), 1),
        lambda parent, out: train_dpo(parent, out, PAIRS, DPOOptions(**FEW, lora=LoraOptions(r=4)), 1),
        lambda parent, out: train_orpo(parent, out, PAIRS, ORPOOptions(**FEW), 1),
        lambda parent, out: train_kto(parent, out, PAIRS, KTOOptions(**FEW), 1),
        lambda parent, out: train_reward_model(parent, out, WEIGHED, RewardOptions(**FEW), 1),
        lambda parent, out: train_reward_model(
            parent, out, PAIRS, RewardOptions(**FEW), 1, samples=VIEWS, bottleneck=BottleneckOptions(z_dim=8)
        ),
    ],
    ids=["ift", "dpo with weights", "dpo with an adapter", "orpo", "kto", "reward model", "bottleneck"],
)
def test_each_method_measures_and_keeps_the_best(
    train: Callable[[Path, Path], Trained], tiny_model: Path, tmp_path: Path
) -> None:
    trained = train(tiny_model, tmp_path / "a")
    losses = losses_of(tmp_path / "a")
    assert max(losses) == trained.n_steps, "the last step is measured too"
    assert trained.metrics["validation/loss"] == min(losses.values())
    assert losses[int(trained.metrics["validation/step"])] == min(losses.values())


def test_the_float32_weights_beside_bfloat16_ones_are_those_of_the_kept_step(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from safetensors.torch import load_file

    seen: dict[float, Any] = {}
    measured = validation._LastStep.on_step_end

    def spy(self: Any, args: Any, state: Any, *rest: Any, model: Any, optimizer: Any, **more: Any) -> None:
        kept = {name: optimizer.state[weight][WEIGHT] for name, weight in model.named_parameters()}
        seen[state.global_step] = {name: weight.clone() for name, weight in kept.items()}
        measured(self, args, state, *rest, **more)

    monkeypatch.setattr(validation._LastStep, "on_step_end", spy)
    options = replace(STOPPING, learning_rate=0.05, patience=0, dtype="bfloat16", save_minutes=30.0)
    trained = train_sft(tiny_model, tmp_path / "a", CHATS, options, 1)
    step = trained.metrics["validation/step"]
    assert step < trained.n_steps, "another model than the last is kept"
    for name, weight in load_file(tmp_path / "a" / "model.safetensors").items():
        assert torch.equal(weight, seen[step][name]) and not torch.equal(weight, weight.bfloat16().float())


def test_no_prompt_is_on_both_sides_and_the_order_of_the_file_does_not_matter() -> None:
    keys = [prompt_key(f"Question {n % 20}") for n in range(60)]
    learnt, held_out = held_out_places(keys, 0.2, 0, SHARE_FLAG)
    sides = {keys[place] for place in learnt}, {keys[place] for place in held_out}
    assert not sides[0] & sides[1] and (len(sides[0]), len(sides[1])) == (16, 4)
    assert sorted(learnt + held_out) == list(range(60))
    turned = held_out_places(keys[::-1], 0.2, 0, SHARE_FLAG)[1]
    assert {keys[::-1][place] for place in turned} == sides[1]
    assert {keys[place] for place in held_out_places(keys, 0.2, 1, SHARE_FLAG)[1]} != sides[1]


def test_conversations_with_one_opening_are_one_prompt() -> None:
    user, answer, other = ({"role": role, "content": role} for role in ("user", "assistant", "tool"))
    assert opening_of([user, answer, user, answer]) == opening_of([user, other, answer]) == [user]
    assert prompt_key([user | {"content": " Say  It "}]) == prompt_key("say it")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"patience": 2}, "--patience is about the loss on held-out prompts; give --validation-share"),
        ({"validation_steps": 2}, "--validation-steps is about the loss"),
        ({"validation_share": 1.0}, "validation.share"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_options(SFTOptions(**settings))


def test_sharded_weights_are_not_validated() -> None:
    with pytest.raises(InputError, match="--validation-share needs whole weights in each process"):
        check_validation(SFTOptions(validation_share=0.1), is_sharded=True)


def test_a_single_prompt_cannot_be_held_out(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="1 prompt: too few to hold some out; give more, or --validation-share 0"):
        train_sft(tiny_model, tmp_path / "a", CHATS[:1] * 3, SFTOptions(validation_share=0.5), 0)
