from pathlib import Path

import pytest
import torch

from console.errors import InputError
from engines.options import EngineOptions
from engines.reward_model import RewardModel
from judges.judging.reward_model import fingerprint, fingerprint_in, open_reward_model
from tests.engines.test_reward_scoring import save_reward_model


def test_a_reward_model_computes_in_the_type_that_is_asked_for_and_is_then_another_judge(tmp_path: Path) -> None:
    folder = save_reward_model(tmp_path / "model")

    def opened(options: EngineOptions) -> RewardModel:
        model = open_reward_model(folder, "m", options)
        assert isinstance(model, RewardModel)
        return model

    usual, same, short = (opened(EngineOptions(dtype=dtype)) for dtype in ("auto", "float32", "bfloat16"))
    if not torch.cuda.is_available():
        assert usual.model.dtype == torch.float32 and fingerprint(usual) == fingerprint(same)
    assert short.model.dtype == torch.bfloat16
    assert fingerprint(short) != fingerprint(same)
    assert short.score(["Why?"], ["So."]) != same.score(["Why?"], ["So."])


def test_a_type_for_a_reward_model_in_vllm_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--dtype bfloat16 goes with --engine transformers"):
        open_reward_model(tmp_path, "m", EngineOptions(engine="vllm", dtype="bfloat16"))


def test_a_fingerprint_without_loading_is_that_of_the_loaded_model_and_vllms_is_another(tmp_path: Path) -> None:
    folder = save_reward_model(tmp_path / "model")
    kinds = (
        EngineOptions(),
        EngineOptions(dtype="bfloat16"),
        EngineOptions(chat_template_kwargs={"enable_thinking": False}),
    )
    for options in kinds:
        assert fingerprint_in(folder, options) == fingerprint(open_reward_model(folder, "m", options))
    engines = ("auto", "transformers", "vllm")
    auto, transformers, vllm = (fingerprint_in(folder, EngineOptions(engine=engine)) for engine in engines)
    assert auto == transformers != vllm
