"""Every trainer learns adapters, in float32 and in bfloat16, and its model is used as any other."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from console.errors import InputError
from engines.adapters import SETTINGS, is_adapter
from engines.merging import WRITES, load_model
from engines.models import model_digest
from engines.options import EngineOptions, open_engine
from engines.protocol import Request, Sampling
from engines.reward_model import RewardModel, is_reward_model
from records.rows import messages_of
from tests.trainer.ppo.test_ppo import PROMPTS, SMALL, next_probs, same, save_nine, source, steps_of
from tests.trainer.training import test_autocast as trainers
from tests.trainer.training.test_autocast import TRAINERS, bfloat16, reward_model  # noqa: F401  a fixture
from trainer.ppo.options import PPOOptions, check_ppo
from trainer.ppo.trainer import checkpoints_of, train_ppo
from trainer.reward_model.options import RewardOptions
from trainer.reward_model.train import load_classifier, train_reward_model
from trainer.training.options import LoraOptions

LORA = LoraOptions(r=4, alpha=8)
ADAPTED = replace(SMALL, lora=LORA, learning_rate=5e-2, kl_coef=0.1)
QUICK_KINDS = (("float32", 2), ("bfloat16 weights", 1))
"""A precision, and whether an adapter is learnt once, or goes on."""
PAID = source(lambda text: float(text.count("a")))


@pytest.fixture
def with_adapters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the trainers of this package's tests learn adapters."""
    monkeypatch.setitem(trainers.STEPS, "lora", LORA)


@pytest.fixture(scope="module")
def little(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_nine(tmp_path_factory.mktemp("little") / "model")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "adapter_model.safetensors")


QUICK = [(trainers.sft, "bfloat16", 2), *((train, kind, n) for train in TRAINERS for kind, n in QUICK_KINDS)]
SLOW = [(train, kind, 2) for train in TRAINERS for kind in ("bfloat16", "bfloat16 weights")]


@pytest.mark.parametrize(
    ("train", "precision", "n_trainings"),
    [*QUICK, *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW if case not in QUICK)],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_trainer_learns_an_adapter(
    train: Callable[[Path, Path], Any],
    precision: str,
    n_trainings: int,
    tiny_model: Path,
    tmp_path: Path,
    with_adapters: None,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    types = {torch.bfloat16} if precision == "float32" else request.getfixturevalue("bfloat16")
    if precision == "bfloat16 weights":  # as on a GPU, from a checkpoint in bfloat16
        monkeypatch.setattr("trainer.training.lora.adapter.inference_dtype", lambda folder: "bfloat16")
    trained = train(tiny_model, tmp_path / "model")
    assert torch.bfloat16 in types
    assert trained.n_steps >= 1 and trained.loss == trained.loss
    assert is_adapter(tmp_path / "model") and {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"model"}
    learnt = weights(tmp_path / "model")
    assert {tensor.dtype for tensor in learnt.values()} == {torch.float32}
    zero_before = [tensor for name, tensor in learnt.items() if "lora_B" in name or "score" in name]
    assert any(bool(tensor.any()) for tensor in zero_before)
    if n_trainings == 1:
        return
    further = train(tmp_path / "model", tmp_path / "next")
    assert further.loss == further.loss and weights(tmp_path / "next").keys() == learnt.keys()
    settings = json.loads((tmp_path / "next" / SETTINGS).read_text())
    assert settings["base_model_name_or_path"] == str(tiny_model.resolve())


def test_an_adapter_answers_and_judges_as_its_merged_model(
    tiny_model: Path, tmp_path: Path, with_adapters: None
) -> None:
    from engines.merging import write_merged

    trainers.sft(tiny_model, tmp_path / "adapter")
    write_merged(tmp_path / "adapter", tmp_path / "merged")
    requests = [Request(messages_of(text), seed=n) for n, text in enumerate(("Hello there", "x"))]
    answers, choices = [], []
    for name in ("adapter", "merged"):
        engine = open_engine(EngineOptions(model=str(tmp_path / name), engine="transformers"))
        answers.append(
            [done.text for done in sorted(engine.generate(requests, Sampling(8, 1.0)), key=lambda d: d.index)]
        )
        choices += [list(choice.logprobs) for choice in engine.choose(requests[:1], ["1", "2"])]
    assert answers[0] == answers[1] and choices[0] == pytest.approx(choices[1], abs=1e-3)
    digests = {model_digest(tmp_path / name) for name in ("adapter", "merged")} | {model_digest(tiny_model)}
    assert len(digests) == 3


def test_an_adapted_reward_model_scores_and_is_no_writer(tiny_model: Path, tmp_path: Path, with_adapters: None) -> None:
    from engines.merging import write_merged

    reward_model(tiny_model, tmp_path / "rm")
    assert is_reward_model(tmp_path / "rm") and not is_reward_model(tiny_model)
    questions, texts = ["Question 1?", "Question 2?"], ["It is 1.", "No."]
    scores = RewardModel.load(tmp_path / "rm", "rm").score(questions, texts)
    assert scores[0] != scores[1] and None not in scores
    write_merged(tmp_path / "rm", tmp_path / "merged")
    assert RewardModel.load(tmp_path / "merged", "merged").score(questions, texts) == pytest.approx(scores, abs=1e-4)
    with pytest.raises(InputError, match="an adapter of a reward model, which writes no texts"):
        load_model(tmp_path / "rm", torch.float32, WRITES)


def test_the_float32_head_of_a_reward_model_learns_beside_frozen_bfloat16_weights(
    tiny_model: Path, tmp_path: Path
) -> None:
    options = RewardOptions(**trainers.STEPS, lora=LORA, dtype="bfloat16")
    trained = train_reward_model(tiny_model, tmp_path / "rm", trainers.PAIRS, options, 0)
    assert math.isfinite(trained.loss)
    head = next(tensor for name, tensor in weights(tmp_path / "rm").items() if "score" in name)
    assert head.dtype == torch.float32 and head.any()


def test_a_reward_model_begins_with_the_adapter_of_a_language_model_and_a_head_of_its_own(
    tiny_model: Path, tmp_path: Path, with_adapters: None
) -> None:
    trainers.sft(tiny_model, tmp_path / "sft")
    model = load_classifier(tmp_path / "sft", "random", 0, LORA)
    learnt = {name: tensor for name, tensor in model.state_dict().items() if "lora_" in name}
    assert len(learnt) == 28 and model.get_base_model().score.weight.any()
    for name, tensor in weights(tmp_path / "sft").items():
        torch.testing.assert_close(learnt[name.replace(".weight", ".default.weight")], tensor)
    reward_model(tmp_path / "sft", tmp_path / "rm")
    assert is_reward_model(tmp_path / "rm") and RewardModel.load(tmp_path / "rm", "rm").score(["a"], ["b"]) != [None]


def test_ppo_learns_an_adapter_whose_reference_is_the_model_without_it(little: Path, tmp_path: Path) -> None:
    train_ppo(little, tmp_path / "adapted", PROMPTS, PAID, ADAPTED, seed=0)
    steps = steps_of(tmp_path / "adapted")
    assert steps[0].kl == pytest.approx(0, abs=1e-5) and steps[-1].kl is not None and steps[-1].kl > 0.01
    assert steps[-1].reward is not None and steps[0].reward is not None and steps[-1].reward > steps[0].reward
    assert is_adapter(tmp_path / "adapted") and not (tmp_path / "adapted" / "ref").exists()
    train_ppo(tmp_path / "adapted", tmp_path / "next", PROMPTS, PAID, ADAPTED, seed=1)
    further = steps_of(tmp_path / "next")
    assert further[0].kl == pytest.approx(0, abs=1e-5), "the parent with its adapter is the reference"
    assert further[0].reward is not None and further[0].reward > steps[0].reward


def test_ppo_with_an_adapter_that_was_stopped_goes_on_with_the_same_numbers(
    little: Path,
    tmp_path: Path,
) -> None:
    options = replace(ADAPTED, save_every_n_steps=2)
    train_ppo(little, tmp_path / "parent", PROMPTS, PAID, ADAPTED, seed=3)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train_ppo(tmp_path / "parent", whole, PROMPTS, PAID, options, seed=0)
    calls = 0

    def failing(text: str) -> float:
        nonlocal calls
        calls += 1
        if calls > 4 * SMALL.rollout_batch_size:
            raise KeyboardInterrupt
        return float(text.count("a"))

    with pytest.raises(KeyboardInterrupt):
        train_ppo(tmp_path / "parent", stopped, PROMPTS, source(failing), options, seed=0)
    assert checkpoints_of(stopped).exists() and not stopped.exists()
    train_ppo(tmp_path / "parent", stopped, PROMPTS, PAID, options, seed=0)
    assert same(steps_of(stopped)) == same(steps_of(whole))
    assert all(torch.equal(tensor, weights(whole)[name]) for name, tensor in weights(stopped).items())


def test_ppo_saves_whole_weights_if_asked_to(little: Path, tmp_path: Path) -> None:
    train_ppo(little, tmp_path / "adapter", PROMPTS, PAID, ADAPTED, seed=0)
    merging = replace(ADAPTED, lora=replace(LORA, merge=True))
    train_ppo(little, tmp_path / "merged", PROMPTS, PAID, merging, seed=0)
    assert not is_adapter(tmp_path / "merged")
    found, expected = (next_probs(tmp_path / name, [[1, 8]]) for name in ("merged", "adapter"))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lora": replace(LORA, dropout=0.1)}, "PPO learns without dropout"),
        ({"lora": replace(LORA, quantize="4bit")}, "PPO has no four-bit weights"),
        ({"rollout_engine": "vllm", "lora": LORA}, "vLLM cannot follow an adapter in training"),
    ],
)
def test_settings_that_ppo_has_not_with_adapters_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_ppo(replace(PPOOptions(), **change), 1)
