"""GRPO, RLOO and PPO on two processes: each has verdicts of its own, adapters too, and one of them speaks."""

import json
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from records import Judgment, read_rows
from tests.trainer.grpo.test_grpo import ASKS
from tests.trainer.ppo.test_ppo import save_nine, steps_of
from tests.trainer.training.test_launch import TOLERANCE, distance, run_jobs
from trainer.training.outcome import report_of

GRPO = [
    "--learning-rate", "2e-2", "--epochs", "6", "--batch-size", "16", "--micro-batch-size", "4", "--group-size", "4",
    "--response-length", "3", "--max-length", "16", "--beta", "0.01", "--tool", "constraints", "--verify", "share",
]  # fmt: skip
PPO = [
    "--learning-rate", "1e-2", "--steps", "3", "--rollout-batch-size", "8", "--step-batch-size", "4",
    "--micro-batch-size", "2", "--response-length", "3", "--warmup-steps", "0", "--reward", "judge",
    "--evidence.tool", "constraints", "--evidence.verify", "share",
]  # fmt: skip
LORA = ["--lora.r", "4", "--lora.alpha", "8"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = files(tmp_path_factory.mktemp("trained"))
    job = partial(job_in, folder)
    jobs = [job("grpo", "grpo", GRPO), job("grpo", "again", GRPO), job("grpo", "rloo", [*GRPO, "--method", "rloo"])]
    adapted = [job("grpo", "grpo-lora", [*GRPO, *LORA]), *(job("ppo", f"ppo-{n}", [*PPO, *LORA], n) for n in (1, 2))]
    sharded = [
        job("grpo", f"{name}-sharded", flags, sharded=True)
        for name, flags in (
            ("grpo", GRPO), ("rloo", [*GRPO, "--method", "rloo"]), ("grpo-lora", [*GRPO, *LORA]),
        )
    ]  # fmt: skip
    return run_jobs(folder, [*jobs, *adapted, *sharded])


def files(folder: Path) -> Path:
    save_nine(folder / "nine")
    row = {"constraints": [{"kind": ASKS.kind, "kwargs": ASKS.kwargs}]}
    rows = [{"prompt": f"ask {word}", **row} for word in "abcd"]
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def job_in(
    folder: Path, kind: str, name: str, flags: list[str], n: int = 2, *, sharded: bool = False
) -> dict[str, Any]:
    argv = [str(folder / "prompts.jsonl"), "--model", str(folder / "nine"), "--out", str(folder / name / "model")]
    return {
        "name": name, "module": f"trainer.{kind}.__main__", "argv": [*argv, *flags],
        "processes": n, "sharded": sharded,
    }  # fmt: skip


@pytest.mark.parametrize("method", ["grpo", "rloo"])
def test_two_processes_learn_from_whole_groups(trained: Path, method: str) -> None:
    said = (trained / f"{method}.0.err").read_text()
    assert json.loads((trained / "statuses.json").read_text())[method] == [0, 0], said
    report = report_of(trained / method / "model")
    assert report.n_steps == 6 and report.metrics["null_share"] == 0
    assert report.metrics["reward_last"] > report.metrics["reward_first"]
    kept = [list(read_rows(trained / method / f"model.checks-{rank}.jsonl", Judgment)) for rank in (0, 1)]
    assert all(kept)


def test_two_processes_learn_an_adapter_by_grpo(trained: Path) -> None:
    said = (trained / "grpo-lora.0.err").read_text()
    assert json.loads((trained / "statuses.json").read_text())["grpo-lora"] == [0, 0], said
    learnt = load_file(trained / "grpo-lora" / "model" / "adapter_model.safetensors")
    assert all(bool(tensor.any()) for name, tensor in learnt.items() if "lora_B" in name)


def test_two_processes_learn_an_adapter_by_the_steps_of_one_in_ppo(trained: Path) -> None:
    one, two = (steps_of(trained / f"ppo-{n}" / "model") for n in (1, 2))
    assert len(one) == len(two) == 3, (trained / "ppo-2.0.err").read_text()
    for left, right in zip(one, two, strict=True):
        for name in ("reward", "kl", "length", "policy_loss", "value_loss"):
            assert getattr(left, name) == pytest.approx(getattr(right, name), abs=1e-5), name


def test_two_processes_take_the_same_steps_again(trained: Path) -> None:
    assert distance(trained / "grpo" / "model", trained / "again" / "model") == 0
    assert distance(trained / "grpo" / "model", trained / "nine") > 1e-3


@pytest.mark.parametrize("name", ["grpo", "rloo", "grpo-lora"])
def test_sharded_weights_end_as_copies_do(trained: Path, name: str) -> None:
    said = (trained / f"{name}-sharded.0.err").read_text()
    assert json.loads((trained / "statuses.json").read_text())[f"{name}-sharded"] == [0, 0], said
    assert distance(trained / name / "model", trained / f"{name}-sharded" / "model") < TOLERANCE
    copies, sharded = (report_of(trained / which / "model").metrics for which in (name, f"{name}-sharded"))
    assert sharded == pytest.approx(copies, abs=TOLERANCE) and copies["kl"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("more", [[], LORA], ids=["whole", "adapter"])
def test_a_sharded_training_on_rewards_that_was_killed_goes_on_from_its_state(more: list[str], tmp_path: Path) -> None:
    folder, often = files(tmp_path), [*GRPO, *more, "--save-minutes", "1e-9"]
    whole, killed = (job_in(folder, "grpo", name, often, sharded=True) for name in ("whole", "killed"))
    run_jobs(folder, [whole, killed | {"killed_at": 3}])
    assert -signal.SIGKILL in json.loads((folder / "statuses.json").read_text())["killed"]
    assert (folder / "killed" / "model.state" / "checkpoint-3" / "state.json").exists()
    run_jobs(folder, [killed])
    said = (folder / "killed.0.err").read_text()
    assert json.loads((folder / "statuses.json").read_text())["killed"] == [0, 0], said
    assert distance(folder / "whole" / "model", folder / "killed" / "model") == 0


def test_only_the_first_process_prints(trained: Path) -> None:
    assert (trained / "grpo.0.out").read_text().count(" reward, first ") == 1
    assert (trained / "grpo.1.out").read_text() == ""
