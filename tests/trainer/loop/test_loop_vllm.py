"""A loop whose models answer and judge through vLLM, killed and started again: run by `make test-vllm`."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from records import Judgment, Pair, Response, read_rows
from tests.conftest import ROOT
from tests.tiny import save_tiny_model

pytestmark = pytest.mark.vllm

RECIPE = """
name = "tiny"
iterations = 2
[engine]
model = "tiny"
engine = "vllm"
[seeds]
prompts = "prompts.jsonl"
ift = "ift.jsonl"
eft_limit = 2
[candidates]
prompts = 40
n = 4
max_new_tokens = 24
temperature = 1.0
[judge]
read = "logprobs"
[sft]
batch_size = 2
[dpo]
batch_size = 8
[eval]
prompts = 8
"""


def loop(folder: Path) -> "subprocess.Popen[str]":
    folder.mkdir(exist_ok=True)
    save_tiny_model(folder / "tiny", head_dim=32)
    (folder / "ift.jsonl").write_text("".join(f'{{"prompt": "say {n}", "response": "point {n}"}}\n' for n in range(4)))
    rows = [{"id": str(n), "prompt": f"Write {n} words about the number {n}."} for n in range(60)]
    (folder / "prompts.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (folder / "tiny.toml").write_text(RECIPE)
    return subprocess.Popen(
        [sys.executable, "-m", "trainer.loop", "--config", "tiny.toml"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "VLLM_CPU_KVCACHE_SPACE": "1"},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


def test_a_loop_on_vllm_that_is_killed_goes_on_and_learns_from_all_prompts(tmp_path: Path) -> None:
    killed, path = loop(tmp_path / "run"), tmp_path / "run/runs/tiny/iter2/responses.jsonl"
    while killed.poll() is None and (not path.exists() or path.read_bytes().count(b"\n") < 30):
        time.sleep(0.01)
    killed.kill()
    _, said = killed.communicate()
    assert killed.returncode == -signal.SIGKILL, said
    n_before = path.read_bytes().count(b"\n")
    assert 30 <= n_before < 160
    kept = path.read_bytes()
    resumed = loop(tmp_path / "run")
    _, said = resumed.communicate()
    assert resumed.returncode == 0, said
    assert path.read_bytes().startswith(kept)
    responses = list(read_rows(path, Response))
    assert len(responses) == len({row.id for row in responses}) == 160
    judgments = list(read_rows(path.with_name("judgments.jsonl"), Judgment))
    assert len(judgments) == 160 and any(row.score is not None for row in judgments)
    assert list(read_rows(path.with_name("pairs.jsonl"), Pair))
    assert (path.parent / "metrics.json").exists()
