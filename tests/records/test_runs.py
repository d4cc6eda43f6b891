import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.errors import InputError
from records.disk.locked import in_use
from records.rows import Row
from records.runs import Run, find_run, named_run, newest_run, read_settings
from records.store import Store


class Line(Row, frozen=True, kw_only=True):
    id: str


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def made(name: str, at_s: int, wanted: int = 3, done: int = 3, settings: str | None = None) -> Run:
    run = Run(Path("runs") / name)
    for number in range(done + 1):
        run.iteration(number).mkdir(parents=True)
    run.config.write_text(f"[settings]\niterations = {wanted}\n" if settings is None else settings)
    run.ledger.write_text("".join(json.dumps({"id": f"iter{n}", "parent": None}) + "\n" for n in range(1, done + 1)))
    for path in (run.config, run.ledger):
        os.utime(path, (at_s, at_s))
    return run


def test_the_newest_run_is_the_one_whose_iteration_was_done_last(capsys: pytest.CaptureFixture[str]) -> None:
    old, young = made("old", 100), made("young", 200)
    assert newest_run() == young and capsys.readouterr().err == "the newest run: runs/young\n"
    os.utime(old.ledger, (300, 300))
    assert find_run() == old


@pytest.fixture
def under_way() -> Iterator[Run]:
    run = made("under_way", 900, done=1)
    with Store(run.ledger, Line):
        yield run


def test_a_run_under_way_is_not_the_newest_and_can_be_named(under_way: Run, capsys: pytest.CaptureFixture[str]) -> None:
    finished = made("finished", 100)
    assert find_run() == finished == newest_run()
    assert "the newest run: runs/finished; runs/under_way is under way" in capsys.readouterr().err
    assert find_run("under_way") == under_way


def test_where_all_runs_are_under_way_they_are_named(under_way: Run) -> None:
    assert newest_run() is None
    with pytest.raises(InputError, match=r"every run in runs/ is under way.*--run.*under_way"):
        find_run()


def test_a_stopped_run_is_taken_only_where_none_is_finished(capsys: pytest.CaptureFixture[str]) -> None:
    stopped = made("stopped", 500, done=2)
    assert find_run() == stopped
    rlp = made("rlp", 300, done=2, settings="[settings]\n[settings.rlp]\nmethod = 'uml'\n")
    assert find_run() == stopped
    finished = made("finished", 100)
    capsys.readouterr()
    assert find_run() == finished
    said = capsys.readouterr().err
    assert said == "the newest run: runs/finished; runs/stopped is not finished; runs/rlp is not finished\n"
    assert not rlp.is_finished and finished.is_finished


def test_a_run_with_damaged_settings_is_not_the_newest_and_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    made("damaged", 500, settings="[settings]\niterations = \n")
    finished = made("finished", 100)
    assert find_run() == finished
    assert "runs/damaged is damaged: runs/damaged/run.toml" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"[settings]\niterations = \n", r"runs/x/run\.toml: .*line 2"),
        (b"[settings\n", r"runs/x/run\.toml: .*line 1"),
        (b"\xff\xfe", r"runs/x/run\.toml: .*cannot be read"),
        (b"[versions]\ntorch = '2'\n", r"runs/x/run\.toml: .*no \[settings\]"),
        (b"settings = 3\n", r"runs/x/run\.toml: .*no \[settings\]"),
    ],
)
def test_damaged_settings_are_named_with_file_and_line(text: bytes, message: str) -> None:
    run = Run(Path("runs/x"))
    run.folder.mkdir(parents=True)
    run.config.write_bytes(text)
    with pytest.raises(InputError, match=message):
        read_settings(run)


def test_a_file_that_grows_is_taken_from_an_iteration_that_is_done() -> None:
    run = made("demo", 1, wanted=4, done=2)
    for number in (1, 2, 3):
        run.iteration(number).mkdir(exist_ok=True)
        (run.iteration(number) / "responses.jsonl").touch()
    assert run.newest("responses.jsonl") == run.iteration(2) / "responses.jsonl"
    assert run.newest("responses.jsonl", grows=False) == run.iteration(3) / "responses.jsonl"


@pytest.mark.parametrize("name", ["", ".", "..", "../../escape", "a/b", "a\\b", "x\0", ".hidden", "-x", "x" * 300])
def test_a_run_has_a_plain_name(name: str) -> None:
    with pytest.raises(InputError, match="plain folder name"):
        named_run(name)


def test_a_folder_that_holds_something_else_is_no_run() -> None:
    Path("runs/scores").mkdir(parents=True)
    assert named_run("scores").folder == Path("runs/scores")
    Path("runs/scores/a.jsonl").touch()
    with pytest.raises(InputError, match="runs/scores exists and is no run"):
        named_run("scores")
    Path("runs/file").touch()
    with pytest.raises(InputError, match="is no run"):
        named_run("file")


@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_name_is_no_run(name: str) -> None:
    made("demo", 1)
    Path("run.toml").touch()
    Path("runs/run.toml").touch()
    with pytest.raises(InputError, match="no run"):
        find_run(name)


def test_a_store_is_in_use_as_long_as_it_is_open(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    assert not in_use(path)
    with Store(path, Line):
        assert in_use(path)
    assert not in_use(path)
