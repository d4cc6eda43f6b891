"""A loop with [lora]: every iteration is an adapter on one base, and no kill changes what it ends with."""

import json
from pathlib import Path

import pytest

from engines.adapters import SETTINGS, is_adapter, weights_folder
from engines.models import model_digest
from tests.trainer.loop.test_loop import loops, recipe, results, run_loops  # noqa: F401  a fixture

KILLS = [("step", 6)]
"""In a DPO step."""
MORE_KILLS = [("append", 50), ("step", 1), ("rename", 2)]
"""After iter2's model, in the supervised training, and before iter2's model gets its name."""


@pytest.fixture(scope="module")
def adapted(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:  # noqa: F811
    folder = tmp_path_factory.mktemp("adapted")
    adapted, stopping = folder / "adapted.toml", folder / "stopping.toml"
    adapted.write_text(f"{recipe.read_text()}\n[lora]\nr = 4\nalpha = 8\n")
    early = "[early_stop]\nevery_n_steps = 1\nn_prompts = 3\n"
    stopping.write_text(adapted.read_text().replace("iterations = 3", "iterations = 2") + early)
    plan = loops(adapted, ["one"], KILLS) | loops(stopping, ["stopping"], [])
    return run_loops(tmp_path_factory.mktemp("runs"), plan) | {"recipe": adapted}


@pytest.fixture(scope="module")
def more_killed(adapted: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return run_loops(tmp_path_factory.mktemp("more_runs"), loops(adapted["recipe"], [], MORE_KILLS))


def test_every_iteration_is_an_adapter_on_the_base_and_the_ledger_says_so(adapted: dict[str, Path]) -> None:
    run = adapted["one"]
    base = (run / "iter0" / "model").resolve()
    lines = [json.loads(line) for line in (run / "ledger.jsonl").read_text().splitlines()]
    assert [line["adapter"] for line in lines] == [{"base": str(base), "r": 4}] * 3
    for number in (1, 2, 3):
        model = run / f"iter{number}" / "model"
        assert is_adapter(model) and weights_folder(model) == base
    digests = {model_digest(run / f"iter{number}" / "model") for number in range(4)}
    assert len(digests) == 4


def test_the_best_of_several_checkpoints_is_an_adapter_on_the_base(adapted: dict[str, Path]) -> None:
    run = adapted["stopping"]
    checkpoints = [folder for folder in (run / "iter2" / "checkpoints").iterdir() if is_adapter(folder)]
    assert checkpoints and weights_folder(run / "iter2" / "model") == (run / "iter0" / "model").resolve()
    assert model_digest(run / "iter2" / "model") not in {model_digest(run / "iter1" / "model")}


@pytest.mark.parametrize("kill", [f"{what}-{n}" for what, n in KILLS])
def test_a_loop_of_adapters_killed_and_resumed_ends_with_the_same_rows_and_bytes(
    adapted: dict[str, Path], kill: str
) -> None:
    check_same(adapted["one"], adapted[kill])


@pytest.mark.slow
@pytest.mark.parametrize("kill", [f"{what}-{n}" for what, n in MORE_KILLS])
def test_a_loop_of_adapters_killed_elsewhere_and_resumed_ends_with_the_same_rows_and_bytes(
    adapted: dict[str, Path], more_killed: dict[str, Path], kill: str
) -> None:
    check_same(adapted["one"], more_killed[kill])


def check_same(one: Path, other: Path) -> None:
    assert results(other) == results(one)
    for number in (1, 2, 3):
        for name in (SETTINGS, "adapter_model.safetensors"):
            first, second = (run / f"iter{number}" / "model" / name for run in (one, other))
            assert first.read_bytes() == second.read_bytes()
