"""What cannot be written is one line that names the path and what to do, before anything is asked or trained."""

import errno
import os
import socket
import stat
import typing
from pathlib import Path
from typing import Any

import pytest

from console.command import parse
from console.errors import InputError, StoreError
from console.writing import DiskErrors, Output, check_outputs, check_writable, make_folder, notes_on
from records import Judgment, Store, read_rows, write_atomic
from records.files import checked_file
from records.store import set_aside, write_rows
from tests.console.test_command import python
from tests.console.test_ranges import MODULES, config_of
from trainer.training.outcome import claim_folder


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("something")
    Path("folder").mkdir()
    os.mkfifo("pipe")


WRONG = [
    ("file/a.jsonl", "is no folder; a file stands where a folder is needed; give another path"),
    ("file/b/a.jsonl", "is no folder; a file stands where a folder is needed"),
    ("folder", "is a folder; name a file in it"),
    ("pipe", "is no plain file but a pipe"),
    ("/dev/null", "a file of the system's own"),
    ("/dev/full", "a file of the system's own"),
    ("/dev/stdout", "a file of the system's own"),
    ("/proc/self/fd/1", "a file of the system's own"),
    ("/proc/a.jsonl", "a file of the system's own"),
    ("x" * 300, "File name too long: give another path"),
    ("a\0b", "no file can have this name"),
]
WRITERS: dict[str, Any] = {
    "store": lambda path: Store(path, Judgment),
    "atomic": lambda path: write_atomic(path, "text"),
    "rows": lambda path: write_rows(path, []),
    "check": check_writable,
}


@pytest.mark.parametrize("writer", list(WRITERS))
@pytest.mark.parametrize(("name", "message"), WRONG, ids=[name[:20].replace("\0", "0") for name, _ in WRONG])
def test_every_writer_refuses_what_is_no_plain_file(name: str, message: str, writer: str) -> None:
    with pytest.raises(StoreError) as caught:
        WRITERS[writer](Path(name))
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert Path("file").read_text() == "something" and stat.S_ISFIFO(Path("pipe").stat().st_mode)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode) and stat.S_ISCHR(Path("/dev/full").stat().st_mode)


def test_a_link_is_what_it_leads_to() -> None:
    Path("to_null").symlink_to("/dev/null")
    with pytest.raises(StoreError, match="to_null: is no plain file but a device"):
        Store(Path("to_null"), Judgment)
    Path("loop").symlink_to("loop")
    with pytest.raises(StoreError, match="loop: .*symbolic links"):
        check_writable(Path("loop"))
    Path("to_file").symlink_to("file")
    check_writable(Path("to_file"))
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("socket")
        with pytest.raises(StoreError, match="socket: is no plain file but a socket"):
            check_writable(Path("socket"))
        with pytest.raises(InputError, match="socket: is a socket, which can be read once only"):
            checked_file(Path("socket"))


def test_a_device_or_pipe_is_never_set_aside() -> None:
    for path in (Path("pipe"), Path("/dev/null")):
        with pytest.raises(StoreError):
            set_aside(path)
    assert not Path("pipe.1").exists() and Path("/dev/null").exists()


def test_memory_disks_are_ordinary() -> None:
    check_writable(Path("/dev/shm/judgeloop-test/a.jsonl"))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "No space left on device: free some space; what was written before is kept"),
        (errno.EACCES, "Permission denied: you may not write there"),
        (errno.EROFS, "Read-only file system: give a path on another disk"),
        (errno.EDQUOT, "free some space"),
        (errno.EIO, "the disk fails"),
        (errno.EMFILE, "ulimit -n"),
        (errno.EINTR, "Interrupted system call"),
    ],
)
def test_each_error_of_the_disk_says_what_to_do(code: int, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise OSError(code, os.strerror(code))

    with pytest.raises(StoreError, match=f"a.jsonl: .*{words}"), DiskErrors(Path("a.jsonl")):
        fails()
    monkeypatch.setattr(Path, "mkdir", fails)
    with pytest.raises(StoreError, match=f"new: .*{words}"):
        make_folder(Path("new"))
    with pytest.raises(StoreError, match=words):
        Store(Path("new/a.jsonl"), Judgment)


def test_a_folder_that_may_not_be_written_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda place, _: Path(place).name != "folder")  # root may everything
    for path in (Path("folder/a.jsonl"), Path("folder/new/a.jsonl")):
        with pytest.raises(StoreError, match="folder: Permission denied: you may not write there"):
            check_writable(path)
    with pytest.raises(StoreError, match="folder: Permission denied"):
        claim_folder(Path("folder/model"), fresh=False)


def test_a_models_folder_is_not_written_in_the_place_of_a_file() -> None:
    for path in ("file", "pipe", "file/model", "/dev/null", "/proc/model"):
        for fresh in (False, True):
            with pytest.raises(StoreError, match=path):
                claim_folder(Path(path), fresh=fresh)


def outputs_of(command: str) -> list[tuple[str, str, bool]]:
    hints = typing.get_type_hints(config_of(command), include_extras=True)
    notes = [(name, note) for name, hint in hints.items() for note in notes_on(hint)]
    return [(command, name, note.folder) for name, note in notes if isinstance(note, Output)]


OUTPUTS = [one for command in MODULES for one in outputs_of(command)]


def test_nearly_every_command_has_an_output() -> None:
    without = {"experiments.round_signal"}
    without |= {f"trainer.{name}" for name in ("loop", "rlp", "early_stop", "runs")}
    assert set(MODULES) - {command for command, *_ in OUTPUTS} == without


@pytest.mark.parametrize(("command", "name", "is_folder"), OUTPUTS, ids=[f"{one[0]}--{one[1]}" for one in OUTPUTS])
def test_an_output_is_checked_before_anything_else(command: str, name: str, is_folder: bool) -> None:
    flag = f"--{name.replace('_', '-')}"
    for path in ("file/x", "/proc/x", "file" if is_folder else "folder", "pipe"):
        with pytest.raises(StoreError, match=f"{flag} {path}: "):
            parse(config_of(command), [flag, path], "prog")
    hint = typing.get_type_hints(config_of(command), include_extras=True)[name]
    ending = next((note.endings[0] for note in notes_on(hint) if isinstance(note, Output) and note.endings), "")
    parse(config_of(command), [flag, "folder" if is_folder else f"file{ending}"], "prog")


def test_no_path_that_is_written_is_unmarked() -> None:
    for command in MODULES:
        config = config_of(command)()
        names = {"out", "picture", "screenshot", "export_batch", "checkpoints"} & set(vars(config))
        marked = {name for one, name, _ in OUTPUTS if one == command}
        assert names == marked - {"votes"}, "votes are written by tui alone, and read by others"
        check_outputs(config)


@pytest.mark.parametrize("name", ["folder", "pipe", "nothing", "file/x"])
def test_what_cannot_be_read_is_named(name: str) -> None:
    for read in (lambda path: list(read_rows(path, Judgment)), checked_file):
        with pytest.raises(InputError, match=f"{name}: (is|no such file|cannot be read)"):
            read(Path(name))


def test_a_command_ends_with_one_line(tmp_path: Path) -> None:
    Path("a.jsonl").write_text('{"prompt": "Q", "response": "A"}\n')
    Path("runs").write_text("a file")
    command = ("-m", "judges.score", "a.jsonl", "--base-url", "http://127.0.0.1:9/v1", "--model", "m")
    for words, said in [([], "runs is no folder; a file stands"), (["--out", "pipe"], "--out pipe: is no plain file")]:
        found = python(*command, *words, cwd=tmp_path)
        errors = [line for line in found.stderr.splitlines() if "error" in line]
        assert found.returncode == 1 and len(errors) == 1 and said in errors[0], found.stderr
