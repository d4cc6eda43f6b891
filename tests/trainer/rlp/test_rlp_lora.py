"""Reward learning on policy with [lora]: models and reward models are adapters on one base, and a kill changes none."""

from dataclasses import replace
from pathlib import Path

import pytest

from engines.adapters import is_adapter, weights_folder
from records.runs import Run
from tests.trainer.rlp.test_rlp import annotator, config, results, rows, start_and_kill  # noqa: F401  fixtures
from trainer.rlp.__main__ import main
from trainer.rlp.recipe import Config
from trainer.training.options import LoraOptions

KILLS = ("iter2/model.checkpoints/step-000001", "iter3/reward_model")
ALL_KILLS = ("iter1/reward_model", KILLS[0], "iter2/model", KILLS[1])
MODELS = ("iter1/model", "iter1/reward_model", "iter2/model", "iter3/reward_model", "iter3/model")


@pytest.mark.parametrize("kills", [KILLS, pytest.param(ALL_KILLS, marks=pytest.mark.slow)], ids=["two", "four"])
def test_a_run_of_adapters_killed_again_and_again_ends_as_an_undisturbed_one(
    kills: tuple[str, ...],
    config: Config,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    adapted = replace(config, lora=LoraOptions(r=4, alpha=8))
    for name in ("whole", "mended"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        for kill in kills if name == "mended" else ():
            start_and_kill(adapted, kill)
        main(adapted)
    one, other = (Run(tmp_path / name / "runs" / "tiny") for name in ("whole", "mended"))
    assert results(one) == results(other)
    base = one.model(0).resolve()
    assert [line["adapter"] for line in rows(one.ledger)] == [{"base": str(base), "r": 4}] * 3
    for model in MODELS:
        assert is_adapter(one.folder / model) and weights_folder(one.folder / model) == base
        mine, others = (run.folder / model / "adapter_model.safetensors" for run in (one, other))
        assert mine.read_bytes() == others.read_bytes()
