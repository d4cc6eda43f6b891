"""Every trainer, the engine and the reward model work where products are bfloat16, as on a GPU."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from engines.local.transformers_engine import TransformersEngine
from engines.protocol import Request, Sampling
from records import Pair, Prompt, Response
from records.rows import messages_of
from tests.tiny import save_tiny_model

CHATS = [[*messages_of(f"say {n}"), {"role": "assistant", "content": f"point {n}"}] for n in range(4)]


def view(prompt: str, response: str) -> Response:
    return Response(id=f"{prompt} {response}", prompt_id=prompt, prompt=prompt, response=response, model="policy")


PAIRS = [
    Pair(
        prompt=messages_of(f"Question {n}?"),
        chosen=[{"role": "assistant", "content": f"It is {n}."}],
        rejected=[{"role": "assistant", "content": "No."}],
        prompt_id=str(n), weight=1.0 + n, confidence=0.9,
    )
    for n in range(4)
]  # fmt: skip
PROMPTS = [Prompt(id=str(n), prompt=f"Say {n}.") for n in range(4)]
VIEWS = [(view(f"{n}", "one"), view(f"{n}", "two")) for n in range(3)]
REQUESTS = [Request(messages_of(text), seed=n) for n, text in enumerate(("Hello there", "Hello, you", "x"))]
STEPS: dict[str, Any] = {"batch_size": 4, "micro_batch_size": 2, "learning_rate": 1e-3, "save_minutes": 0.0}


@pytest.fixture
def bfloat16(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[torch.dtype]]:
    """Let accelerate compute in bfloat16 on a processor; the types of what linear layers put out."""
    from accelerate.state import AcceleratorState

    found: set[torch.dtype] = set()

    def note(module: torch.nn.Module, _: Any, output: Any) -> None:
        if isinstance(module, torch.nn.Linear):
            found.add(output.dtype)

    AcceleratorState._reset_state(True)
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    hook = torch.nn.modules.module.register_module_forward_hook(note)
    yield found
    hook.remove()
    AcceleratorState._reset_state(True)


def sft(model: Path, out: Path) -> Any:
    from trainer.sft.options import SFTOptions
    from trainer.sft.train import train_sft

    return train_sft(model, out, CHATS, SFTOptions(**STEPS), 0)


def ift(model: Path, out: Path) -> Any:
    from trainer.ift.options import IFTOptions
    from trainer.ift.trainer import train_ift

    return train_ift(model, out, CHATS, IFTOptions(**STEPS, epochs=2), 0)


def ift_copy(model: Path, out: Path) -> Any:
    from trainer.ift.options import IFTOptions
    from trainer.ift.trainer import train_ift

    options = IFTOptions(**STEPS, epochs=2, embeddings="copy", decay=0.9, average="answers", optim="rmsprop")
    return train_ift(model, out, CHATS, options, 0)


def dpo(model: Path, out: Path) -> Any:
    from trainer.dpo.options import DPOOptions
    from trainer.dpo.train import train_dpo

    return train_dpo(model, out, PAIRS, DPOOptions(**STEPS, labels="soft", length_alpha=0.01), 0)


def orpo(model: Path, out: Path) -> Any:
    from trainer.orpo.options import ORPOOptions
    from trainer.orpo.train import train_orpo

    return train_orpo(model, out, PAIRS, ORPOOptions(**STEPS), 0)


def simpo(model: Path, out: Path) -> Any:
    from trainer.simpo.options import SimPOOptions
    from trainer.simpo.train import train_simpo

    return train_simpo(model, out, PAIRS, SimPOOptions(**STEPS), 0)


def kto(model: Path, out: Path) -> Any:
    from trainer.kto.options import KTOOptions
    from trainer.kto.train import train_kto

    return train_kto(model, out, PAIRS, KTOOptions(**STEPS), 0)


def reward_model(model: Path, out: Path) -> Any:
    from trainer.reward_model.options import RewardOptions
    from trainer.reward_model.train import train_reward_model

    return train_reward_model(model, out, PAIRS, RewardOptions(**STEPS), 0)


def bottleneck(model: Path, out: Path) -> Any:
    from trainer.reward_model.bottleneck_options import BottleneckOptions
    from trainer.reward_model.options import RewardOptions
    from trainer.reward_model.train import train_reward_model

    return train_reward_model(
        model, out, PAIRS, RewardOptions(**STEPS), 0, samples=VIEWS, bottleneck=BottleneckOptions()
    )


def grpo(model: Path, out: Path) -> Any:
    from trainer.grpo.options import GRPOOptions
    from trainer.grpo.rewards import Weighted
    from trainer.grpo.train import train_rewarded
    from trainer.ppo.rewards import RewardSource

    def opened(_: int) -> Any:
        return nullcontext([Weighted("length", 1.0, RewardSource("length", lambda _, texts: [len(t) for t in texts]))])

    options = GRPOOptions(**STEPS, group_size=2, response_length=6, max_length=64)
    return train_rewarded(model, out, PROMPTS, opened, 0.0, options, 0, "GRPO")


TRAINERS = [sft, ift, ift_copy, dpo, orpo, simpo, kto, reward_model, bottleneck, grpo]


@pytest.mark.parametrize("train", TRAINERS, ids=lambda train: train.__name__)
def test_a_trainer_learns_in_bfloat16_and_keeps_float32_weights(
    train: Callable[[Path, Path], Any], tiny_model: Path, tmp_path: Path, bfloat16: set[torch.dtype]
) -> None:
    from safetensors.torch import load_file

    trained = train(tiny_model, tmp_path / "model")
    assert torch.bfloat16 in bfloat16
    assert trained.n_steps >= 1 and trained.loss == trained.loss
    weights = load_file(tmp_path / "model" / "model.safetensors")
    assert all(bool(tensor.isfinite().all()) for tensor in weights.values())
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}


def test_ppo_draws_and_learns_in_bfloat16_while_the_reward_is_computed_as_ever(
    tiny_model: Path, tmp_path: Path, bfloat16: set[torch.dtype]
) -> None:
    import trainer.ppo.trainer as ppo
    from trainer.ppo.options import PPOOptions
    from trainer.ppo.rewards import RewardSource

    def reward(prompts: Any, texts: list[str]) -> list[float]:
        assert not torch.is_autocast_enabled("cpu")
        return [float(len(text)) for text in texts]

    sft(tiny_model, tmp_path / "sft")  # as a run of reward learning on policy does, in one process
    bfloat16.clear()
    options = PPOOptions(
        rollout_batch_size=4, step_batch_size=4, micro_batch_size=2, generation_batch_size=4, response_length=6,
        steps=2, warmup_steps=0, ppo_epochs=1,
    )  # fmt: skip
    trained = ppo.train_ppo(tiny_model, tmp_path / "model", PROMPTS[:3], RewardSource("length", reward), options, 0)
    assert torch.bfloat16 in bfloat16
    assert trained.n_steps == 2 and trained.metrics["length"] > 1


@pytest.mark.parametrize("precision", ["autocast", "checkpoint"])
@pytest.mark.parametrize("architecture", ["llama", "gemma2"])
def test_the_engine_answers_and_chooses_in_bfloat16_near_to_float32(
    precision: str, architecture: str, tmp_path: Path
) -> None:
    model = save_tiny_model(tmp_path / "model", architecture=architecture)
    engine = TransformersEngine.load(model, "tiny")
    expected = [choice.logprobs for choice in sorted(engine.choose(REQUESTS, ["1", "10", "2"]), key=lambda c: c.index)]
    if precision == "checkpoint":
        engine = replace(engine, model=engine.model.to(torch.bfloat16))
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "autocast"):
        found = [c.logprobs for c in sorted(engine.choose(REQUESTS, ["1", "10", "2"]), key=lambda c: c.index)]
        answers = list(engine.generate(REQUESTS, Sampling(8, temperature=1.0)))
    assert len(answers) == 3 and all(answer.error is None and answer.n_tokens for answer in answers)
    for row, other in zip(found, expected, strict=True):
        assert row == pytest.approx(other, abs=0.5)


def test_a_reward_model_scores_in_bfloat16(tiny_model: Path, tmp_path: Path) -> None:
    from engines.reward_model import RewardModel

    reward_model(tiny_model, tmp_path / "rm")
    scorer = RewardModel.load(tmp_path / "rm", "rm")
    with torch.autocast("cpu", torch.bfloat16):
        scores = scorer.score(["one", "two"], ["Yes.", "No, it is not."])
    assert all(score is not None for score in scores)
