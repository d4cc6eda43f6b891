"""PPO whose rewards, or answers too, come from vLLM: run by `make test-vllm`."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from records import Prompt
from tests.engines.test_reward_scoring import save_reward_model
from tests.tiny import save_tiny_model
from tests.trainer.ppo.test_ppo import same, steps_of
from trainer.ppo import trainer
from trainer.ppo.options import PPOOptions, RewardEngineOptions
from trainer.ppo.rewards import RewardSource, reward_model
from trainer.ppo.rollout import roll_out
from trainer.ppo.trainer import train_ppo

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("ignore")]

PROMPTS = [Prompt(id=str(n), prompt=f"Say {n} words about rivers.") for n in range(6)]
OPTIONS = PPOOptions(
    rollout_batch_size=16, step_batch_size=8, micro_batch_size=4, generation_batch_size=16, response_length=8,
    learning_rate=1e-3, warmup_steps=0, steps=3, save_every_n_steps=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    place = tmp_path_factory.mktemp("ppo")
    return save_tiny_model(place / "policy", head_dim=32), save_reward_model(place / "reward", head_dim=32)


@pytest.fixture(autouse=True)
def no_space_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLLM_CPU_KVCACHE_SPACE", raising=False)


def source(folder: Path, engine: str) -> RewardSource:
    options = RewardEngineOptions(engine="vllm" if engine == "vllm" else "transformers")
    return reward_model(folder, options.of_model(OPTIONS.generation_batch_size))


def test_a_policy_learns_from_the_rewards_of_vllm_as_from_those_of_transformers(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    policy, reward = folders
    rows = {}
    for engine in ("transformers", "vllm"):
        train_ppo(policy, tmp_path / engine, PROMPTS, source(reward, engine), OPTIONS, seed=0)
        rows[engine] = steps_of(tmp_path / engine)
    assert len({row.reward for row in rows["vllm"]}) == 3
    for ours, theirs in zip(rows["transformers"], rows["vllm"], strict=True):
        assert theirs.n_null == ours.n_null
        for name in ("reward", "kl", "length", "policy_loss", "value_loss"):
            assert getattr(theirs, name) == pytest.approx(getattr(ours, name), abs=1e-3)


def test_rewards_do_not_depend_on_what_was_asked_before(folders: tuple[Path, Path]) -> None:
    given, prompts = source(folders[1], "vllm"), ["Say it."] * 6
    answers = [f"A river {'flows ' * n}on." for n in range(6)]
    first = given.reward(prompts, answers)
    given.reward(["Say it."] * 2, ["A river", "Something else, and longer than the others are."])
    assert given.reward(prompts, answers) == first


@pytest.mark.parametrize("rollout_engine", ["transformers", "vllm"])
def test_a_training_that_was_stopped_goes_on_with_the_same_numbers(
    rollout_engine: Literal["transformers", "vllm"], folders: tuple[Path, Path], tmp_path: Path
) -> None:
    policy, reward = folders
    given, options = source(reward, "vllm"), replace(OPTIONS, rollout_engine=rollout_engine)
    train_ppo(policy, tmp_path / "whole", PROMPTS, given, options, seed=0)
    calls = []

    def stopping(prompts: list, texts: list[str]) -> list[float | None]:  # type: ignore[type-arg]
        calls.append(texts)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return given.reward(prompts, texts)

    stopped = RewardSource(given.name, stopping, given.digest, given.folder)
    with pytest.raises(KeyboardInterrupt):
        train_ppo(policy, tmp_path / "parts", PROMPTS, stopped, options, seed=0)
    train_ppo(policy, tmp_path / "parts", PROMPTS, given, options, seed=0)
    assert len(calls) == 3
    whole, parts = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "parts"))
    assert whole == parts
    assert same(steps_of(tmp_path / "whole")) == same(steps_of(tmp_path / "parts"))


def test_answers_of_vllm_are_those_of_the_policy_of_each_step(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, reward = folders
    given, seen = source(reward, "vllm"), []
    monkeypatch.setattr(trainer, "roll_out", lambda actors, *rest: seen.append((actors, *rest)) or roll_out(*seen[-1]))
    # So cold that a draw is nearly always the likeliest token.
    cold = replace(OPTIONS, rollout_engine="vllm", temperature=0.01, kl_coef=0.0, max_kl=1e9)
    train_ppo(policy, tmp_path / "out", PROMPTS, given, cold, seed=0)
    actors, _, prompts, seeds, options = seen[-1]
    usual = replace(actors, sampler=actors.engine)
    ours, theirs = (roll_out(one, given, prompts, seeds, options) for one in (actors, usual))
    alike = [mine.tokens == other.tokens for mine, other in zip(ours, theirs, strict=True)]
    assert sum(alike) >= 14, "of 16"
    assert len({tuple(answer.tokens) for answer in ours}) > 3
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.tokens != other.tokens or mine.finish_reason == other.finish_reason
    rows = steps_of(tmp_path / "out")
    assert rows[0].kl == pytest.approx(0, abs=1e-3), "the policy itself gives the log-probabilities"
    assert all(row.n_null == 0 for row in rows)
