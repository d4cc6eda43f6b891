"""A judge on vLLM that is killed and started again: run by `make test-vllm`."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.tiny import save_tiny_model

pytestmark = pytest.mark.vllm

N_ROWS = 3000


def judge(folder: Path, out: str) -> "subprocess.Popen[str]":
    arguments = ["answers.jsonl", "--model", "tiny", "--engine", "vllm", "--out", out]
    return subprocess.Popen(
        [sys.executable, "-m", "judges.score", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "VLLM_CPU_KVCACHE_SPACE": "1"},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


def rows_of(path: Path) -> dict[str, dict[str, object]]:
    return {row["id"]: row for row in map(json.loads, path.read_text().splitlines())}


def test_a_killed_run_goes_on_to_the_rows_of_an_uninterrupted_one(tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "tiny", head_dim=32)
    answers = [{"prompt": f"Say {n}", "response": f"answer {n} " * (n % 7 + 1)} for n in range(N_ROWS)]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers))
    whole = judge(tmp_path, "whole.jsonl")
    _, said = whole.communicate()
    assert whole.returncode == 0, said
    killed, path = judge(tmp_path, "killed.jsonl"), tmp_path / "killed.jsonl"
    while killed.poll() is None and (not path.exists() or path.read_bytes().count(b"\n") < 50):
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()  # the pipe's end: no process that it started holds it
    n_before = path.read_bytes().count(b"\n")
    assert killed.returncode == -signal.SIGKILL and 50 <= n_before < N_ROWS
    resumed = judge(tmp_path, "killed.jsonl")
    _, said = resumed.communicate()
    assert resumed.returncode == 0 and f"resuming, {n_before} rows done" in said
    expected, found = rows_of(tmp_path / "whole.jsonl"), rows_of(path)
    assert len(found) == N_ROWS and found.keys() == expected.keys()
    for row_id, row in found.items():
        assert row["score"] == pytest.approx(expected[row_id]["score"], abs=1e-4)
        assert row["mass"] == pytest.approx(expected[row_id]["mass"], abs=1e-4)
