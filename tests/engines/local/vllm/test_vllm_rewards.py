"""Reward models in vLLM: run by `make test-vllm`."""

from pathlib import Path

import pytest

from console.errors import EngineError
from engines.local.vllm.memory import KV_SPACE, Memory
from engines.options import EngineOptions
from engines.reward_model import EMPTY, RewardModel, VllmRewardModel
from judges.judging.reward_model import fingerprint, fingerprint_in, open_reward_model
from tests.engines.test_reward_scoring import save_reward_model
from tests.tiny import save_tiny_model

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("ignore")]

PROMPTS = ["What is the capital of Peru?"] * 3 + [f"Say {n} words about rivers." for n in range(9)]
ANSWERS = ["Lima.", "It is Cusco, I think.", ""] + ["Rivers flow. " * (n + 1) for n in range(9)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    place = tmp_path_factory.mktemp("rewards")
    source, folder = save_tiny_model(place / "tiny", head_dim=32), place / "reward"
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(source, num_labels=1, dtype=torch.float32)
    torch.nn.init.normal_(model.score.weight)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KV_SPACE, "1")


def test_rewards_are_those_of_transformers(folder: Path) -> None:
    expected = RewardModel.load(folder, "reward")
    model = open_reward_model(folder, "reward", EngineOptions(engine="vllm"))
    assert isinstance(model, VllmRewardModel) and model.digest != expected.digest
    assert fingerprint(model) == fingerprint_in(folder, EngineOptions(engine="vllm"))
    scores = model.score(PROMPTS, ANSWERS)
    assert scores == pytest.approx(expected.score(PROMPTS, ANSWERS), abs=1e-3)
    assert scores[2] is None and model.unscored == {EMPTY: 1} and len(set(scores)) == len(scores)


def test_an_answer_over_the_context_has_none(folder: Path) -> None:
    model = VllmRewardModel.load(folder, "reward", Memory(max_model_len=128))
    [short, long] = model.rewards(["Say it."] * 2, ["A word.", "word " * 200])
    assert short.value is not None and long.error == "too long for the reward model's context of 128 tokens"


def test_a_model_that_vllm_cannot_compute_is_refused_when_it_is_loaded(tmp_path: Path) -> None:
    heads_of_8 = save_reward_model(tmp_path / "reward")
    with pytest.raises(EngineError, match="small: vLLM failed: Unsupported CPU attention.*head_dim=8"):
        VllmRewardModel.load(heads_of_8, "small", Memory())
