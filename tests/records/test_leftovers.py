import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from records import Prompt, Store, write_atomic
from records.leftovers import process_lives, remove_leftovers, temporary_folder, temporary_path
from records.runs import Run
from records.store import write_rows

DEAD = 4_999_999
"""More than any system's highest process number."""


def plant(folder: Path, name: str, *, is_folder: bool = False) -> Path:
    path = folder / name
    if is_folder:
        path.mkdir(parents=True)
        (path / "model.safetensors").write_text("half")
    else:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text("half")
    return path


def dead(path: Path) -> str:
    """Return the name of `path` as a process had it that is no more."""
    return path.name.replace(f"-{os.getpid()}.tmp", f"-{DEAD}.tmp")


@pytest.mark.parametrize(
    ("name", "is_folder", "removed"),
    [
        (f".metrics.json.{DEAD}.tmp", False, True),  # as earlier versions named them
        (f"smollm2.{DEAD}.tmp", True, True),
        (dead(temporary_path(Path("metrics.json"))), False, True),
        (dead(temporary_path(Path("part.jsonl"), "-3")), False, True),
        (dead(temporary_folder(Path("smollm2"))), True, True),
        (f".x.{2**70}.tmp", False, True),
        (temporary_path(Path("metrics.json")).name, False, False),  # this process is alive
        (f".metrics.json.{os.getpid()}.tmp", False, False),
        (".metrics.json.1.tmp", False, False),
        (f".metrics.json.0a1b2c-{DEAD}.tmp", False, False),  # another machine's
        ("notes.tmp", False, False),
        (f"results.{DEAD}.json", False, False),
        (f"{DEAD}.tmp.jsonl", False, False),
    ],
    ids=range(13),  # the names carry this process, and processes that share the tests must call them alike
)
def test_only_what_a_process_that_is_no_more_was_writing_is_removed(
    tmp_path: Path, name: str, is_folder: bool, removed: bool
) -> None:
    path = plant(tmp_path, name, is_folder=is_folder)
    assert remove_leftovers(tmp_path) == ([path] if removed else [])
    assert path.exists() != removed


def test_what_lies_below_is_removed_only_where_it_is_asked_for(tmp_path: Path) -> None:
    path = plant(tmp_path / "iter2", f".metrics.json.{DEAD}.tmp")
    assert remove_leftovers(tmp_path) == [] and path.exists()
    assert remove_leftovers(tmp_path, below=True) == [path]
    assert remove_leftovers(tmp_path / "none") == []


def test_every_way_of_writing_removes_what_was_left_beside_it(tmp_path: Path) -> None:
    ways = {
        "store": lambda folder: Store(folder / "a.jsonl", Prompt).__exit__(None),
        "atomic": lambda folder: write_atomic(folder / "a.json", "{}"),
        "rows": lambda folder: write_rows(folder / "a.jsonl", [{"id": 1}]),
    }
    for name, write in ways.items():
        left = plant(tmp_path / name, f".a.json.{DEAD}.tmp")
        write(tmp_path / name)
        assert not left.exists() and len(list((tmp_path / name).iterdir())) == 1


def test_the_cache_of_models_is_cleared_of_half_made_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engines.models import made_once

    monkeypatch.setenv("JUDGELOOP_CACHE", str(tmp_path))
    old, other = (plant(tmp_path, f"{name}.{DEAD}.tmp", is_folder=True) for name in ("model", "encoder"))

    def make(folder: Path) -> None:
        folder.mkdir()
        (folder / "config.json").write_text("{}")

    for _ in range(2):  # made, then found
        assert made_once("model", "config.json", "making", make) == tmp_path / "model"
        assert not old.exists() and not other.exists()
        old.mkdir()
    assert made_once("model", "config.json", "making", make).exists() and not old.exists()


def test_a_run_is_cleared_of_everything_half_written_when_it_goes_on(tmp_path: Path) -> None:
    from trainer.runs.ledger import remove_run_leftovers

    run = tmp_path / "run"
    left = [
        plant(run, f".run.toml.{DEAD}.tmp"),
        plant(run / "iter2", f".metrics.json.{DEAD}.tmp"),
        plant(run / "iter2", "model.tmp", is_folder=True),
        plant(run / "iter2" / "checkpoints", "step-000002.tmp", is_folder=True),
    ]
    kept = [plant(run / "iter1" / "model", "config.json"), plant(run / "iter1", "notes.tmp")]
    remove_run_leftovers(Run(run))
    assert not any(path.exists() for path in left) and all(path.exists() for path in kept)


def test_a_training_command_removes_what_a_killed_one_was_saving(tmp_path: Path) -> None:
    from trainer.training.outcome import claim_folder

    left = [plant(tmp_path, "model.tmp", is_folder=True), plant(tmp_path, f".a.jsonl.{DEAD}.tmp")]
    claim_folder(tmp_path / "model", fresh=False)
    assert not any(path.exists() for path in left)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system does not tell it")
def test_a_killed_process_is_no_more_although_its_parent_has_not_looked(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert process_lives(child.pid)
    child.kill()
    ended_by = time.monotonic() + 10
    while process_lives(child.pid) and time.monotonic() < ended_by:
        time.sleep(0.01)
    assert not process_lives(child.pid)
    child.communicate()
    assert child.returncode < 0
