"""GRPO on two processes: each has whole groups and verdicts of its own, and one of them speaks."""

import json
from pathlib import Path
from typing import Any

import pytest

from records import Judgment, read_rows
from tests.trainer.grpo.test_grpo import ASKS
from tests.trainer.ppo.test_ppo import save_nine
from tests.trainer.training.test_launch import distance, run_jobs
from trainer.training.outcome import report_of

FLAGS = [
    "--learning-rate", "2e-2", "--epochs", "6", "--batch-size", "16", "--micro-batch-size", "4", "--group-size", "4",
    "--response-length", "3", "--max-length", "16", "--beta", "0.01", "--tool", "constraints", "--verify", "share",
]  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    start = save_nine(folder / "nine")
    row = {"constraints": [{"kind": ASKS.kind, "kwargs": ASKS.kwargs}]}
    rows = [{"prompt": f"ask {word}", **row} for word in "abcd"]
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def job(name: str, *more: str) -> dict[str, Any]:
        argv = [str(folder / "prompts.jsonl"), "--model", str(start), "--out", str(folder / name / "model")]
        return {
            "name": name, "module": "trainer.grpo.__main__", "argv": [*argv, *FLAGS, *more],
            "processes": 2, "sharded": False,
        }  # fmt: skip

    return run_jobs(folder, [job("grpo"), job("again"), job("rloo", "--method", "rloo")])


@pytest.mark.parametrize("method", ["grpo", "rloo"])
def test_two_processes_learn_from_whole_groups(trained: Path, method: str) -> None:
    said = (trained / f"{method}.0.err").read_text()
    assert json.loads((trained / "statuses.json").read_text())[method] == [0, 0], said
    report = report_of(trained / method / "model")
    assert report.n_steps == 6 and report.metrics["null_share"] == 0
    assert report.metrics["reward_last"] > report.metrics["reward_first"]
    kept = [list(read_rows(trained / method / f"model.checks-{rank}.jsonl", Judgment)) for rank in (0, 1)]
    assert all(kept)


def test_two_processes_take_the_same_steps_again(trained: Path) -> None:
    assert distance(trained / "grpo" / "model", trained / "again" / "model") == 0
    assert distance(trained / "grpo" / "model", trained / "nine") > 1e-3


def test_only_the_first_process_prints(trained: Path) -> None:
    assert (trained / "grpo.0.out").read_text().count(" reward, first ") == 1
    assert (trained / "grpo.1.out").read_text() == ""
