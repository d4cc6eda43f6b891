"""Evaluations one after the other, each in a process that a script stands for here."""

import json
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from console.command import parse
from console.errors import InputError, JudgeError
from evals.suite.__main__ import main
from evals.suite.cost import cost_at_most
from evals.suite.options import EVALUATIONS, Config
from evals.suite.steps import Step, steps_of, with_model
from tests.commands import command_named
from tests.conftest import ROOT

SCRIPT = """
import json, sys
from pathlib import Path
name, settings, *flags = sys.argv[1:]
if "--dry-run" in flags:
    if name == "alpaca":
        print(json.dumps({"answers": 5, "judge calls": 10, "judge": "big"}))
    else:
        print(json.dumps({"tasks": [{"task": "a"}, {"task": "b"}] if name == "open_llm" else None}))
    sys.exit()
Path(f"{name}.taken.toml").write_text(Path(settings).read_text())
with open("ran.txt", "a") as file:
    print(name, *flags, file=file)
if name == "open_llm" and Path("broken").exists():
    sys.exit("error: no such data")
if name == "alpaca":
    folder = Path("runs/demo/evals/iter3/alpaca_eval")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "leaderboard.csv").write_text(",win_rate,standard_error,n_total\\niter3,12.5,1.0,805\\n")
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "runs" / "demo"
    run.mkdir(parents=True)
    (run / "run.toml").write_text("[settings]\nseed = 0\n")
    (tmp_path / "script.py").write_text(SCRIPT)

    def command(self: Step, *flags: str) -> list[str]:
        return [sys.executable, "script.py", self.name, str(self.settings), *flags]

    monkeypatch.setattr(Step, "command", command)
    path = tmp_path / "suite.toml"
    path.write_text('[alpaca]\nlimit = 5\n[alpaca.judge]\njudge_model = "big"\n[open_llm]\ntasks = ["a", "b"]\n')
    return path


def suite(*words: str) -> None:
    main(parse(Config, ("--config", "suite.toml", "--model", "iter3", *words), "python -m evals.suite"))


def test_a_suite_plans_runs_and_prints_all_numbers(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite()
    told = capsys.readouterr().out
    assert "| together" in told and "alpaca_eval" in told and "12.5 [10.5, 14.5]" in told
    assert Path("ran.txt").read_text().split() == ["alpaca", "open_llm"]
    settings = tomllib.loads(Path("alpaca.taken.toml").read_text())
    assert settings["engine"] == {"model": "iter3"} and settings["judge"] == {"judge_model": "big"}
    assert tomllib.loads(Path("open_llm.taken.toml").read_text())["model"] == "iter3"


def test_a_dry_run_prints_the_plan_with_its_total_and_runs_nothing(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite("--dry-run", "--json")
    *steps, total = json.loads(capsys.readouterr().out)
    # an answer may have 2048 tokens here, and a verdict is one: 10 * (1000 + 2 * 2048 + 1)
    assert total == {
        "evaluation": "together", "tasks": 2, "answers": 5, "judge's calls": 10, "tokens at most": 50970,
        "dollars at most": 0.0,
    }  # fmt: skip
    assert [step["evaluation"] for step in steps] == ["alpaca", "open_llm"] and not Path("ran.txt").exists()
    assert [path.name for path in Path("runs/demo").iterdir()] == ["run.toml"], "nothing that a running suite reads"


def test_an_evaluation_that_fails_does_not_stop_the_others(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("broken").touch()
    recipe.write_text(recipe.read_text() + "[safety]\n")
    with pytest.raises(JudgeError, match="failed: open_llm; the same command goes on"):
        suite()
    assert Path("ran.txt").read_text().split() == ["alpaca", "open_llm", "safety"]
    assert "12.5" in capsys.readouterr().out


def test_numbers_of_an_evaluation_that_failed_or_of_other_models_are_not_shown(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for model, name in (("iter3", "open_llm"), ("iter2", "alpaca_eval")):
        folder = Path("runs/demo/evals") / model / name
        folder.mkdir(parents=True)
        if name == "open_llm":
            task = {"task": "gsm8k", "metric": "exact_match", "value": 0.5}
            (folder / "results.json").write_text(json.dumps({"model": model, "tasks": [task]}))
        else:
            (folder / "leaderboard.csv").write_text(",win_rate,standard_error,n_total\niter2,77.7,1.0,805\n")
    Path("broken").touch()
    with pytest.raises(JudgeError):
        suite()
    told = capsys.readouterr().out
    assert "12.5" in told and "77.7" not in told and "gsm8k" not in told


def test_only_some_sections_can_be_run(recipe: Path) -> None:
    suite("--only", "open_llm", "--fresh")
    assert Path("ran.txt").read_text() == "open_llm --fresh\n"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--only", "safety"), "--only safety: no such section; there are: alpaca, open_llm"),
        (("--model", ""), "name the model"),
        (("--run", "other"), "no run 'other'"),
    ],
)
def test_a_suite_that_cannot_run_is_refused(recipe: Path, words: tuple[str, ...], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        suite(*words)
    assert not Path("ran.txt").exists()


def test_an_unknown_section_is_refused_with_the_nearest(recipe: Path) -> None:
    recipe.write_text("[alpacca]\n")
    with pytest.raises(InputError, match="unknown key 'alpacca'.*alpaca"):
        suite()


def test_a_section_that_is_off_says_why_and_is_run_only_by_name(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe.write_text(recipe.read_text() + '[mt_bench]\noff = "needs files"\nmode = "single"\n')
    suite()
    assert Path("ran.txt").read_text().split() == ["alpaca", "open_llm"]
    assert "off: mt_bench: needs files; --only mt_bench runs it" in capsys.readouterr().err
    suite("--only", "mt_bench")
    assert Path("ran.txt").read_text().split()[2:] == ["mt_bench"]
    assert "off" not in tomllib.loads(Path("mt_bench.taken.toml").read_text())
    recipe.write_text("[mt_bench]\noff = true\n")
    with pytest.raises(InputError, match=r"\[mt_bench\] off: give the reason"):
        suite()


def test_the_dollars_of_a_judge_are_those_of_its_price(tmp_path: Path) -> None:
    path = tmp_path / "safety.toml"
    path.write_text('max_new_tokens = 500\n[judge]\njudge_model = "gpt-5-mini"\njudge_read = "text"\n')
    cost = cost_at_most("safety", path, 100)
    # 100 calls read 1000 + 500 tokens at 0.25 dollars a million, and write 256 at 2 dollars
    assert cost.tokens == 100 * 1756 and cost.dollars == pytest.approx(0.0375 + 0.0512)
    path.write_text('[judge]\njudge_model = "mine"\n')
    assert cost_at_most("safety", path, 100).dollars is None
    assert cost_at_most("reward_model", path, 100).tokens is None


def test_models_stand_in_the_order_that_each_evaluation_compares_them_in() -> None:
    config = Config(model="iter3", baselines=("iter0", "iter3", "iter1"), run="demo")
    assert with_model("head_to_head", {}, config)["models"] == ["iter3", "iter0", "iter1"]
    assert with_model("safety", {}, config)["models"] == ["iter0", "iter1", "iter3"]
    assert with_model("safety", {"engine": {"batch_size": 2}}, config)["engine"] == {"run": "demo", "batch_size": 2}


def test_each_section_of_the_packaged_recipe_is_one_that_its_command_takes(tmp_path: Path) -> None:
    words = ("--config", str(ROOT / "recipes" / "eval_paper.toml"), "--model", "iter3")
    config = parse(Config, words, "python -m evals.suite")
    assert list(config.sections()) == ["alpaca", "head_to_head", "open_llm", "safety"]
    assert set(config.sections()) | set(config.off()) == set(EVALUATIONS), "each evaluation is there, on or off"
    every = replace(config, only=EVALUATIONS)
    assert every.off() == {}
    for step in steps_of(every, tmp_path):
        command = command_named(f"evals.{step.name}")
        taken = parse(command.Config, ("--config", str(step.settings)), step.name)
        if step.name == "human":  # which is about votes and no model
            continue
        assert "iter3" in (getattr(taken, "model", None), getattr(getattr(taken, "engine", None), "model", None)) or (
            "iter3" in taken.models
        )
