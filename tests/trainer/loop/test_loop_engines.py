"""The engines that a loop asks its own models through."""

import pytest

from console.errors import InputError
from engines.options import EngineOptions
from trainer.loop.recipe import Config, check
from trainer.rlp.checks import check as check_rlp
from trainer.rlp.recipe import Config as RLPConfig


@pytest.mark.parametrize(
    "options", [EngineOptions(base_url="http://localhost:8000/v1"), EngineOptions(engine="openai")]
)
def test_a_model_that_is_trained_here_is_behind_no_server(options: EngineOptions) -> None:
    with pytest.raises(InputError, match="trained in this process.* transformers or vllm"):
        check(Config(engine=options))
    with pytest.raises(InputError, match="trained in this process.* transformers or vllm"):
        check_rlp(RLPConfig(engine=options))


def test_both_engines_in_process_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engines.options.check_installed", lambda: None)
    check(Config(engine=EngineOptions(engine="transformers")))
    check(Config(engine=EngineOptions(engine="vllm")))
    check_rlp(RLPConfig(engine=EngineOptions(engine="vllm")))


def test_vllm_that_is_not_installed_is_found_before_anything_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise InputError("vllm is not installed")

    monkeypatch.setattr("engines.options.check_installed", missing)
    with pytest.raises(InputError, match="vllm is not installed"):
        check(Config(engine=EngineOptions(engine="vllm")))
