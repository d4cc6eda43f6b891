"""A judge and a reward model on vLLM that are killed and started again: run by `make test-vllm`."""

import json
import re
from pathlib import Path

import pytest

from tests.engines.test_reward_scoring import save_reward_model
from tests.killed import command_in, killed_at
from tests.tiny import save_tiny_model

pytestmark = pytest.mark.vllm

N_ROWS = 3000


def rows_of(path: Path) -> dict[str, dict[str, object]]:
    return {row["id"]: row for row in map(json.loads, path.read_text().splitlines())}


@pytest.mark.parametrize("kind", ["judge", "reward model"])
def test_a_killed_run_goes_on_to_the_rows_of_an_uninterrupted_one(kind: str, tmp_path: Path) -> None:
    answers = [{"prompt": f"Say {n}", "response": f"answer {n} " * (n % 7 + 1)} for n in range(N_ROWS)]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers))
    if kind == "judge":
        save_tiny_model(tmp_path / "tiny", head_dim=32)
        argv, end = ["judges.score", "answers.jsonl", "--model", "tiny"], ".jsonl"
    else:
        save_reward_model(tmp_path / "tiny", head_dim=32)
        argv, end = ["judges.best_of", "answers.jsonl", "--reward", "tiny"], ".judgments.jsonl"
    argv += ["--engine", "vllm", "--out"]
    whole = command_in(tmp_path, *argv, "whole.jsonl", VLLM_CPU_KVCACHE_SPACE="1")
    _, said = whole.communicate()
    assert whole.returncode == 0, said
    path = tmp_path / f"killed{end}"
    n_before = killed_at(command_in(tmp_path, *argv, "killed.jsonl", VLLM_CPU_KVCACHE_SPACE="1"), path, 50)
    assert 50 <= n_before < N_ROWS
    resumed = command_in(tmp_path, *argv, "killed.jsonl", VLLM_CPU_KVCACHE_SPACE="1")
    _, said = resumed.communicate()
    assert resumed.returncode == 0 and re.search(f"resuming, {n_before} (rows|of {N_ROWS}) done", said), said
    expected, found = rows_of(tmp_path / f"whole{end}"), rows_of(path)
    assert len(found) == N_ROWS and found.keys() == expected.keys()
    for row_id, row in found.items():
        assert row["score"] == pytest.approx(expected[row_id]["score"], abs=1e-4)
        assert row.get("mass") == pytest.approx(expected[row_id].get("mass"), abs=1e-4)
