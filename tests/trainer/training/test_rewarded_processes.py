"""GRPO, RLOO and PPO on two processes: each has verdicts of its own, adapters too, and one of them speaks."""

import json
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from records import Judgment, read_rows
from tests.tiny import save_in_bfloat16
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
UNEVEN = ["--generation-batch-size", "2", "--micro-batch-size", "1"]
LORA = ["--lora.r", "4", "--lora.alpha", "8"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = files(tmp_path_factory.mktemp("trained"))
    job = partial(job_in, folder)
    jobs = [job("grpo", "grpo", GRPO), job("grpo", "again", GRPO), job("grpo", "rloo", [*GRPO, "--method", "rloo"])]
    adapted = [job("grpo", "grpo-lora", [*GRPO, *LORA]), *(job("ppo", f"ppo-{n}", [*PPO, *LORA], n) for n in (1, 2))]
    sharded = [
        job("grpo", f"{name}-sharded", flags, sharded=True)
        for name, flags in (("grpo", GRPO), ("rloo", [*GRPO, "--method", "rloo"]), ("grpo-lora", [*GRPO, *LORA]))
    ]
    whole = [job("ppo", f"ppo-whole-{n}", [*PPO, *UNEVEN], n, sharded=n > 1) for n in (1, 2)]
    sharded += [*whole, job("ppo", "ppo-sharded", [*PPO, *LORA], sharded=True)]
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


@pytest.mark.parametrize(
    ("alone", "together"),
    [("ppo-1", "ppo-2"), ("ppo-1", "ppo-sharded"), ("ppo-whole-1", "ppo-whole-2")],
    ids=["copies with an adapter", "sharded with an adapter", "sharded"],
)
def test_two_processes_learn_by_the_steps_of_one_in_ppo(trained: Path, alone: str, together: str) -> None:
    one, two = (steps_of(trained / name / "model") for name in (alone, together))
    assert len(one) == len(two) == 3, (trained / f"{together}.0.err").read_text()
    assert distance(trained / alone / "model", trained / together / "model") < TOLERANCE
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
@pytest.mark.parametrize(
    ("kind", "often", "state"),
    [
        ("grpo", [*GRPO, "--save-minutes", "1e-9"], "model.state/checkpoint-2/state.json"),
        ("ppo", [*PPO, "--save-every-n-steps", "1"], "model.checkpoints/step-000002/manifest.json"),
    ],
    ids=["grpo", "ppo"],
)
def test_a_sharded_training_on_rewards_that_was_killed_goes_on_from_its_state(
    kind: str, often: list[str], state: str, more: list[str], tmp_path: Path
) -> None:
    folder = files(tmp_path)
    low = save_in_bfloat16(folder / "nine", folder / "low")  # its state has float32 weights besides
    flags = [*often, *more, "--model", str(low)]
    whole, killed = (job_in(folder, kind, name, flags, sharded=True) for name in ("whole", "killed"))
    run_jobs(folder, [whole, killed | {"killed_at": 2}])
    assert -signal.SIGKILL in json.loads((folder / "statuses.json").read_text())["killed"]
    assert (folder / "killed" / state).exists() and not (folder / "killed" / "model").exists()
    run_jobs(folder, [killed])
    said = (folder / "killed.0.err").read_text()
    assert json.loads((folder / "statuses.json").read_text())["killed"] == [0, 0], said
    assert distance(folder / "whole" / "model", folder / "killed" / "model") == 0


def test_only_the_first_process_prints(trained: Path) -> None:
    assert (trained / "grpo.0.out").read_text().count(" reward, first ") == 1
    assert (trained / "grpo.1.out").read_text() == ""
