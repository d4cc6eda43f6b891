"""Training on several processes ends with the model of one process, says what it does once, and fails as one."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from records import Pair, read_rows
from records.files import BadRows
from records.runs import Run
from records.shapes import read_chats, read_pairs
from records.store import write_rows
from tests.conftest import ROOT
from tests.tiny import save_tiny_model
from trainer import rounds
from trainer.checkpoints import Checkpoints, checkpoints_in
from trainer.dpo import Config as DPOConfig
from trainer.dpo import DPOOptions
from trainer.launch import LaunchOptions
from trainer.recipe import Config
from trainer.sft import Config as SFTConfig
from trainer.sft import SFTOptions
from trainer.training import report_of

TOLERANCE = 1e-5
STEPS = ["--learning-rate", "1e-3", "--batch-size", "4", "--micro-batch-size", "1"]
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
CHATS = [
    [
        {"role": "user", "content": f"say {n}"},
        {"role": "assistant", "content": f"point {n} " * (n % 3 + 1)},
    ]
    for n in range(8)
]
PAIRS = [
    Pair(
        prompt=[{"role": "user", "content": f"Question {n}?"}],
        chosen=[{"role": "assistant", "content": f"It is {n}. " * (n % 3 + 1)}],
        rejected=[{"role": "assistant", "content": "No. " * (n % 4 + 1)}],
        prompt_id=str(n), weight=1.0 + n % 3, confidence=0.6 + 0.04 * n,
    )
    for n in range(8)
]  # fmt: skip


@pytest.fixture(scope="module")
def models(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    other = save_tiny_model(tmp_path_factory.mktemp("reference") / "model", seed=1)
    return {"sft": str(tiny_model), "dpo": str(tiny_model), "reference": str(other)}


@pytest.fixture(scope="module")
def trained(models: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what one process and two have trained, and with a failure."""
    folder = files(tmp_path_factory.mktemp("trained"))
    soft = soft_flags(models)
    jobs = [
        job(folder, models, "sft", "one", 1),
        job(folder, models, "sft", "two", 2),
        job(folder, models, "dpo", "one", 1, soft),
        job(folder, models, "dpo", "two", 2, soft),
        job(folder, models, "sft", "broken", 2, ["--learning-rate", "1e30", "--warmup-share", "0", "--epochs", "3"]),
    ]
    return run_jobs(folder, jobs)


def soft_flags(models: dict[str, str]) -> list[str]:
    return ["--reference", models["reference"], "--labels", "soft", "--length-alpha", "0.01"]


def files(folder: Path) -> Path:
    write_rows(folder / "sft.jsonl", [{"messages": chat} for chat in CHATS])
    write_rows(folder / "dpo.jsonl", PAIRS)
    return folder


def job(
    folder: Path,
    models: dict[str, str],
    kind: str,
    name: str,
    processes: int,
    more: list[str] | None = None,
    *,
    sharded: bool = False,
) -> dict[str, Any]:
    argv = [str(folder / f"{kind}.jsonl"), "--model", models[kind], "--out", str(folder / f"{kind}-{name}" / "model")]
    return {
        "name": f"{kind}-{name}",
        "module": f"trainer.{kind}",
        "argv": [*argv, *STEPS, *(more or [])],
        "processes": processes,
        "sharded": sharded,
    }


def run_jobs(folder: Path, jobs: list[dict[str, Any]]) -> Path:
    (folder / "plan.json").write_text(json.dumps(jobs))
    subprocess.run(
        [sys.executable, "-m", "tests.trainer.launch_process", str(folder / "plan.json")],
        cwd=ROOT, timeout=300, check=True, env=environment(), stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return folder


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def distance(one: Path, other: Path) -> float:
    """Return the greatest difference of a weight in two model folders."""
    from safetensors.torch import load_file

    a, b = (load_file(folder / "model.safetensors") for folder in (one, other))
    return max(float((a[name] - b[name]).abs().max()) for name in a)


@pytest.mark.parametrize(("one", "other"), [("sft-one", "sft-two"), ("dpo-one", "dpo-two")])
def test_several_processes_end_with_the_weights_of_one(
    trained: Path, models: dict[str, str], one: str, other: str
) -> None:
    assert distance(trained / one / "model", trained / other / "model") < TOLERANCE
    assert distance(trained / one / "model", Path(models["sft"])) > 50 * TOLERANCE
    figures, others = (report_of(trained / name / "model") for name in (one, other))
    assert others.n_steps == figures.n_steps == 2 and others.loss == pytest.approx(figures.loss, abs=TOLERANCE)


def test_only_the_first_process_speaks_and_no_work_files_are_left(trained: Path) -> None:
    table, nothing = (trained / f"dpo-two.{rank}.out" for rank in (0, 1))
    assert table.read_text().count("| examples |") == 1 and "| loss |" in table.read_text()
    assert "DPO: 2 of 2" in (trained / "dpo-two.0.err").read_text()
    assert nothing.read_text() == "" and "DPO" not in (trained / "dpo-two.1.err").read_text()
    assert [path.name for path in (trained / "dpo-two").iterdir()] == ["model"]
    assert not list(trained.rglob("*.bin"))


def test_a_loss_that_is_not_a_number_ends_all_processes_with_one_message(trained: Path) -> None:
    assert json.loads((trained / "statuses.json").read_text())["sft-broken"] == [1, -signal.SIGTERM]
    said = [(trained / f"sft-broken.{rank}.err").read_text() for rank in (0, 1)]
    assert said[0].count("error: the ") == 1 and "of 8 ('say " in said[0] and "error" not in said[1]
    assert not (trained / "sft-broken" / "model").exists()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """What a loop would launch, in place of launching it."""
    found: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(rounds, "launch", lambda options, module, words, title: found.append((module, list(words))))
    return found


def test_a_loop_launches_its_fine_tuning_on_the_same_chats_and_settings(
    asked: list[tuple[str, list[str]]], tmp_path: Path
) -> None:
    config = Config(launch=LaunchOptions(), sft=SFTOptions(learning_rate=3e-7, epochs=2), seed=5)
    rounds._sft(tmp_path / "parent", tmp_path / "model", CHATS, config, "iter1 SFT")
    (module, words) = asked[0]
    child = parse(SFTConfig, words, module)
    assert module == "trainer.sft" and child.file is not None
    assert (child.training, child.seed, child.model) == (config.sft, 5, str(tmp_path / "parent"))
    assert list(read_chats(child.file, BadRows(strict=True))) == CHATS and child.out == tmp_path / "model"


def test_a_loop_launches_its_optimisation_on_the_same_pairs_settings_and_checkpoints(
    asked: list[tuple[str, list[str]]], tmp_path: Path
) -> None:
    run = Run(tmp_path)
    write_rows(run.iteration(2) / "pairs.jsonl", PAIRS)
    options = DPOOptions(beta=0.07, labels="soft", length_alpha=0.02, batch_size=8)
    config = Config(launch=LaunchOptions())
    kept = Checkpoints(run.iteration(2) / "checkpoints", 7, "a key")
    out = run.iteration(2) / "last_model"
    rounds._dpo(run.model(1), out, PAIRS, options, config, "iter2 DPO", run.model(0), kept)
    (module, words) = asked[0]
    child = parse(DPOConfig, words, module)
    assert module == "trainer.dpo" and child.file is not None and child.training == options
    assert (child.model, child.reference, child.out) == (str(run.model(1)), str(run.model(0)), out)
    assert (child.checkpoints, child.every_n_steps, child.checkpoint_key) == (kept.folder, 7, "a key")
    assert list(read_pairs(child.file, BadRows(strict=True))) == PAIRS == list(read_rows(child.file, Pair))


# What follows starts accelerate itself, which takes 10 to 20 seconds each time.


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
        model = "{models["sft"]}"
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


@pytest.mark.slow
def test_checkpoints_and_sharded_fine_tuning_are_those_of_one_process(models: dict[str, str], tmp_path: Path) -> None:
    folder = files(tmp_path)
    jobs = []
    for name, processes, sharded in (("one", 1, False), ("two", 2, False), ("sharded", 2, True)):
        kept = ["--checkpoints", str(folder / name), "--every-n-steps", "1", "--epochs", "2"]
        jobs += [
            job(folder, models, "dpo", name, processes, [*kept, *soft_flags(models)], sharded=sharded),
            job(folder, models, "sft", name, processes, sharded=sharded),
        ]
    run_jobs(folder, jobs)
    for name in ("two", "sharded"):
        ours, theirs = (checkpoints_in(folder / which) for which in ("one", name))
        assert [path.name for path in ours] == [path.name for path in theirs] == [f"step-{n:06d}" for n in (1, 2, 3)]
        assert all(distance(*both) < TOLERANCE for both in zip(ours, theirs, strict=True))
        for kind in ("dpo", "sft"):
            assert distance(folder / f"{kind}-one" / "model", folder / f"{kind}-{name}" / "model") < TOLERANCE
