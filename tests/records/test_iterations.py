"""Names of iterations: the best by what was measured, and those of a named run."""

import json
from pathlib import Path
from typing import Any

import pytest

from console.errors import InputError
from engines.models import resolve_model
from engines.options import EngineOptions, is_iteration
from records.runs import Run, best_of_run, named_in_run


def follows(share: float) -> dict[str, Any]:
    return {"following": {"follows": {"value": share}}, "mean_score": 1.0}


FOLLOWING = follows(0.4)


def save_run(name: str, *metrics: dict[str, Any] | None) -> Run:
    """Write a run with the figures of iter0, iter1 and so on. None is an iteration that was not measured."""
    run = Run(Path("runs") / name)
    for number, table in enumerate(metrics):
        run.model(number).mkdir(parents=True)
        (run.model(number) / "config.json").write_text("{}")
        if table is not None:
            (run.iteration(number) / "metrics.json").write_text(json.dumps(table))
    run.config.write_text("[settings]\niterations = 1\n")
    return run


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def won(percent: float) -> dict[str, Any]:
    return {"win_rate": {"percent": percent}, "mean_score": 9.0 - percent / 10}


@pytest.mark.parametrize(
    ("metrics", "iteration", "figure"),
    [
        (
            [{**FOLLOWING, "mean_score": 5.0}, FOLLOWING, {"following": {"follows": {"value": 0.7}}}],
            "iter2",
            "does what",
        ),
        ([FOLLOWING, FOLLOWING], "iter0", "does what"),
        ([{"mean_score": 9.0}, won(60), won(70), won(65)], "iter2", "win rate"),
        ([{"mean_score": 1.0}, won(40), won(45)], "iter0", "win rate"),
        ([{"mean_score": 3.0}, {"mean_score": 4.0}, None], "iter1", "mean score"),
    ],
)
def test_the_best_is_by_the_first_figure_that_all_have(metrics: list[Any], iteration: str, figure: str) -> None:
    best = best_of_run(save_run("demo", *metrics))
    assert best is not None and best.iteration == iteration and best.figure.startswith(figure)


def test_a_name_becomes_an_iteration_and_its_run(capsys: pytest.CaptureFixture[str]) -> None:
    demo = save_run("demo", FOLLOWING, follows(0.6))
    save_run("other", FOLLOWING)
    options = EngineOptions(model="demo/best")
    assert (options.model, options.run) == ("iter1", "runs/demo") and is_iteration(options)
    said = capsys.readouterr().err
    assert "the best iteration of runs/demo is iter1: does what is asked, % 60" in said
    assert EngineOptions(model="best", run="other").model == "iter0"
    assert resolve_model("demo/best") == resolve_model("runs/demo/iter1") == demo.model(1)
    assert named_in_run("demo/iter7", None) == ("iter7", "runs/demo"), "whether it is there is said by who loads it"


def test_other_names_stay(capsys: pytest.CaptureFixture[str]) -> None:
    save_run("demo", FOLLOWING)
    for name in ("iter1", "org/best", "org/iter1", "smollm2", "demo/last", "runs/demo/iter0/model"):
        assert named_in_run(name, None) == (name, None)
    assert EngineOptions(model="best", base_url="http://localhost:1/v1").model == "best", "a server's name"
    Path("best").mkdir()
    assert named_in_run("best", None) == ("best", None), "a folder of that name was a model before"
    assert capsys.readouterr().err == ""


def test_a_name_that_nothing_was_measured_for_or_of_two_runs_is_refused() -> None:
    save_run("demo", None, None)
    save_run("other", FOLLOWING)
    with pytest.raises(InputError, match="no iteration of runs/demo was measured yet"):
        EngineOptions(model="demo/best")
    with pytest.raises(InputError, match="--model demo/iter1 and --run other name two runs"):
        EngineOptions(model="demo/iter1", run="other")
