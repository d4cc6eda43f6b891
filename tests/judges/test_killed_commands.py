"""Commands killed with SIGKILL and started again: as many rows as without a kill, and the same ones.

An engine in this process, a served one and a reward model. vLLM's are in `engines/local/vllm/test_vllm_killed.py`,
the loop's in `trainer/loop/test_loop.py`, and those of workers and shards in `engines/shards/`.
"""

import json
import re
import time
from pathlib import Path

import pytest

from tests.engines.test_reward_scoring import save_reward_model
from tests.killed import command_in, killed_at
from tests.openai_server import Body, Server, completion

N_ROWS = 300
ONE_THREAD = {"OMP_NUM_THREADS": "1"}  # the numbers of equal rows are equal to the last digit
SECONDS = re.compile(rb'"seconds":[0-9.e-]+')  # the only field that two equal rows may have different


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    rows = [{"prompt": f"Say {n}", "response": f"answer {n} " * (n % 7 + 1)} for n in range(N_ROWS)]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def rows_of(path: Path) -> list[bytes]:
    return sorted(SECONDS.sub(b"", line) for line in path.read_bytes().splitlines())


def resumes(folder: Path, argv: list[str], rows: str) -> None:
    """Run `argv` whole, and killed in the middle and again; compare the rows, whose file's name ends with `rows`."""
    whole = command_in(folder, *argv, "--out", "whole.jsonl", **ONE_THREAD)
    _, said = whole.communicate(timeout=300)
    assert whole.returncode == 0, said
    path = folder / f"killed{rows}"
    n_before = killed_at(command_in(folder, *argv, "--out", "killed.jsonl", **ONE_THREAD), path, 50)
    assert 50 <= n_before < N_ROWS
    kept = path.read_bytes()
    resumed = command_in(folder, *argv, "--out", "killed.jsonl", **ONE_THREAD)
    _, said = resumed.communicate(timeout=300)
    assert resumed.returncode == 0 and re.search(f"resuming, {n_before} (rows|of {N_ROWS}) done", said), said
    assert path.read_bytes().startswith(kept[: kept.rindex(b"\n") + 1])
    assert rows_of(path) == rows_of(folder / f"whole{rows}") and len(rows_of(path)) == N_ROWS


@pytest.mark.slow  # the loop's kills are on this engine too
def test_a_judge_in_this_process(answers: Path, tiny_model: Path) -> None:
    argv = ["judges.score", "answers.jsonl", "--model", str(tiny_model), "--read", "logprobs", "--batch-size", "16"]
    resumes(answers, argv, ".jsonl")


def test_a_served_judge_is_asked_again_only_what_was_under_way(answers: Path, server: Server) -> None:
    def slow(body: Body) -> tuple[int, Body]:
        time.sleep(0.002)
        return completion(f"Score: {len(body['messages'][0]['content']) % 6}")

    server.answer = slow
    argv = ["judges.score", "answers.jsonl", "--model", "m", "--base-url", server.url, "--read", "text"]
    resumes(answers, [*argv, "--samples", "1", "--concurrency", "4"], ".jsonl")
    # four calls were under way when it was killed, and the rows of a few more may not have been stored
    assert 2 * N_ROWS <= len(server.asked) <= 2 * N_ROWS + 16


@pytest.mark.slow  # three processes load torch; test_ranking_rewards.py stops one within the process
def test_a_reward_model(answers: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    model = save_reward_model(tmp_path_factory.mktemp("reward") / "model")
    argv = ["judges.best_of", "answers.jsonl", "--reward", str(model), "--batch-size", "16"]
    resumes(answers, argv, ".judgments.jsonl")
