"""A loop with [launch] starts accelerate, which takes 10 to 20 seconds each time, and ends as one without."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from records.runs import Run
from records.store import write_rows
from tests.trainer.training.test_launch import CHATS, distance, environment, models
from trainer.training.checkpoints import checkpoints_in
from trainer.training.outcome import report_of

__all__ = ["models"]

TWO = """
compute_environment: LOCAL_MACHINE
distributed_type: {kind}
num_processes: {processes}
num_machines: {machines}
machine_rank: 0
main_process_port: 0
mixed_precision: 'no'
use_cpu: false
debug: false
"""


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("accelerate") / "two.yaml"
    path.write_text(TWO.format(kind="MULTI_GPU", processes=2, machines=1))
    return path


@pytest.fixture(scope="module")
def recipe(models: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recipe")
    write_rows(folder / "ift.jsonl", [{"messages": chat} for chat in CHATS])
    path = folder / "tiny.toml"
    path.write_text(
        f"""
        name = "tiny"
        iterations = 2
        [engine]
        model = "{models["start"]}"
        batch_size = 5
        [seeds]
        ift = "{folder / "ift.jsonl"}"
        eft_limit = 4
        [candidates]
        prompts = 8
        n = 3
        max_new_tokens = 8
        temperature = 1.0
        [sft]
        learning_rate = 1e-3
        batch_size = 4
        [dpo]
        learning_rate = 1e-3
        batch_size = 2
        micro_batch_size = 1
        [round]
        reference = "iter0"
        [early_stop]
        every_n_steps = 2
        n_prompts = 2
        [eval]
        prompts = 3
        """
    )
    return path


def loop(folder: Path, recipe: Path, *more: str) -> "subprocess.Popen[str]":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job hands on that it is ignored
    return subprocess.Popen(
        [sys.executable, "-m", "trainer.loop", "--config", str(recipe), *more],
        cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def launched_recipe(recipe: Path, two: Path, folder: Path) -> Path:
    path = folder / "launched.toml"
    path.write_text(recipe.read_text() + f'\n        [launch]\n        accelerate = "{two}"\n')
    return path


@pytest.mark.slow
def test_a_loop_that_launches_makes_the_pairs_and_models_of_one_that_does_not(
    recipe: Path, two: Path, tmp_path: Path
) -> None:
    runs = []
    for name, given in (("here", recipe), ("launched", launched_recipe(recipe, two, tmp_path))):
        (tmp_path / name).mkdir()
        child = loop(tmp_path / name, given)
        printed, said = child.communicate(timeout=600)
        assert child.returncode == 0 and printed.count("| examples") == 0, said
        runs.append(Run(tmp_path / name / "runs" / "tiny"))
    here, launched = runs
    for number in (1, 2):
        assert distance(here.model(number), launched.model(number)) < 1e-4
        assert report_of(launched.model(number)).n_steps == report_of(here.model(number)).n_steps
    mine, theirs = ((run.iteration(2) / "pairs.jsonl").read_bytes() for run in runs)
    assert mine == theirs != b""
    steps = [[path.name for path in checkpoints_in(run.iteration(2) / "checkpoints")] for run in runs]
    assert steps[0] == steps[1] != []


@pytest.mark.slow
def test_a_training_that_fails_in_its_processes_is_one_error_of_the_loop(
    recipe: Path, two: Path, tmp_path: Path
) -> None:
    child = loop(tmp_path, launched_recipe(recipe, two, tmp_path), "--sft.learning-rate", "1e30")
    _, said = child.communicate(timeout=400)
    assert child.returncode == 1 and "Traceback" not in said and said.count("error: ") == 1
    assert said.splitlines()[-1].startswith("error: iter1 SFT: the ")
    assert not (tmp_path / "runs" / "tiny" / "iter1" / "model").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("how", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_loop_that_is_stopped_leaves_no_training_behind_and_goes_on(
    recipe: Path, two: Path, tmp_path: Path, how: signal.Signals, status: int
) -> None:
    given = launched_recipe(recipe, two, tmp_path)
    deadline_s = time.monotonic() + 400
    with loop(tmp_path, given, "--iterations", "1", "--sft.epochs", "24") as child:
        assert child.stderr is not None
        while not child.stderr.readline().startswith("SFT: "):
            assert time.monotonic() < deadline_s
        child.send_signal(how)
        assert child.wait(120) == status
    while trainings(tmp_path) and time.monotonic() < deadline_s:
        time.sleep(0.2)
    assert not trainings(tmp_path)
    assert not (tmp_path / "runs" / "tiny" / "iter1" / "model").exists()
    again = loop(tmp_path, given, "--iterations", "1", "--sft.epochs", "24")
    _, said = again.communicate(timeout=600)
    assert again.returncode == 0, said
    assert report_of(tmp_path / "runs" / "tiny" / "iter1" / "model").n_steps == 24 * 3


def trainings(folder: Path) -> list[str]:
    """Return the processes that train in `folder`."""
    found = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return [line for line in found.splitlines() if "trainer.sft" in line and str(folder) in line]
