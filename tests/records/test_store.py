import errno
import multiprocessing
import os
from contextlib import suppress
from pathlib import Path

import pytest

from console.errors import EngineError, JudgeError, RowError, StoreError
from records import Prompt, Store, read_rows, write_atomic
from records.store import latest, set_aside


def row(number: int) -> Prompt:
    return Prompt(id=f"p{number}", prompt=f"prompt {number} with ünïcode and \n a line break")


def test_appended_rows_come_back_in_order(tmp_path: Path) -> None:
    with Store(tmp_path / "a.jsonl", Prompt) as store:
        for number in range(3):
            store.append(row(number))
    assert list(read_rows(tmp_path / "a.jsonl", Prompt)) == [row(0), row(1), row(2)]


@pytest.mark.parametrize("n_torn", range(2, 60, 7))
def test_a_line_torn_at_any_byte_is_cut_off_and_the_rest_kept(tmp_path: Path, n_torn: int) -> None:
    path = tmp_path / "a.jsonl"
    with Store(path, Prompt) as store:
        store.append(row(0))
        store.append(row(1))
    whole = path.read_bytes()
    path.write_bytes(whole[:-n_torn])
    with Store(path, Prompt) as store:
        assert store.ids == {"p0"}
        store.append(row(1))
    assert path.read_bytes() == whole


def test_a_torn_line_longer_than_a_read_block_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with Store(path, Prompt) as store:
        store.append(row(0))
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"id": "' + b"x" * 200_000)
    with Store(path, Prompt) as store:
        assert store.ids == {"p0"}
    assert path.read_bytes() == whole


def test_a_file_with_nothing_but_a_torn_line_becomes_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"id": "p0", "pro')
    with Store(path, Prompt) as store:
        assert store.ids == set()
    assert path.read_bytes() == b""


def test_a_broken_line_in_the_middle_is_named_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": "a", "prompt": "x"}\n{"id": "b"}\n{"id": "c", "prompt": "x"}\n')
    with pytest.raises(RowError, match=r"a\.jsonl:2: not a Prompt row"):
        list(read_rows(path, Prompt))


def test_rows_that_are_not_to_be_kept_are_done_again_and_the_last_one_counts(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with Store(path, Prompt) as store:
        store.append(Prompt(id="p", prompt="failed"))
    with Store(path, Prompt, keep=lambda found: found.prompt != "failed") as store:
        assert "p" not in store
        store.append(Prompt(id="p", prompt="good"))
        assert "p" in store
    assert [found.prompt for found in latest(read_rows(path, Prompt))] == ["good"]


def lines_of(path: Path) -> list[tuple[str, str]]:
    return [(found.id, found.prompt) for found in read_rows(path, Prompt)]


def is_good(found: Prompt) -> bool:
    return found.prompt != "failed"


def write_failed(path: Path) -> None:
    with Store(path, Prompt) as store:
        for name in "pqr":
            store.append(Prompt(id=name, prompt="failed" if name == "p" else name))


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, JudgeError, EngineError], ids=str)
def test_a_row_that_was_replaced_goes_from_the_file_once_the_stage_ends(
    tmp_path: Path, error: type[BaseException] | None
) -> None:
    path = tmp_path / "a.jsonl"
    write_failed(path)
    with suppress(error or ()), Store(path, Prompt, keep=is_good) as store:
        store.append(Prompt(id="p", prompt="good"))
        assert len(lines_of(path)) == 4  # a kill here loses neither
        if error:
            raise error
    assert lines_of(path) == [("q", "q"), ("r", "r"), ("p", "good")] and os.listdir(tmp_path) == ["a.jsonl"]
    assert [row.prompt for row in store.chosen("pqr")] == ["good", "q", "r"]


def test_rows_that_a_kill_left_twice_are_there_once_after_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write_failed(path)
    path.write_text(path.read_text() + '{"id":"p","prompt":"good"}\n{"id":"q","pro')
    with Store(path, Prompt, keep=is_good) as store:
        assert "p" in store
    assert lines_of(path) == [("q", "q"), ("r", "r"), ("p", "good")]


def test_a_file_in_which_nothing_was_replaced_is_not_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write_failed(path)
    inode = path.stat().st_ino
    with Store(path, Prompt) as store:
        store.append(Prompt(id="s", prompt="s"))
    assert path.stat().st_ino == inode and len(lines_of(path)) == 4


def test_where_the_disk_fails_no_row_is_taken_out(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write_failed(path)
    with pytest.raises(StoreError), Store(path, Prompt) as store:
        store.append(Prompt(id="p", prompt="good"))
        raise StoreError("the disk is full")
    assert len(lines_of(path)) == 4


def test_a_second_writer_is_refused_and_told_why(tmp_path: Path) -> None:
    with Store(tmp_path / "a.jsonl", Prompt), pytest.raises(StoreError, match="another process is writing"):
        Store(tmp_path / "a.jsonl", Prompt)


def test_fresh_sets_the_old_file_aside_and_deletes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    for number in range(3):
        with Store(path, Prompt, fresh=True) as store:
            assert store.ids == set()
            store.append(row(number))
    assert list(read_rows(tmp_path / "a.jsonl.1", Prompt)) == [row(0)]
    assert list(read_rows(tmp_path / "a.jsonl.2", Prompt)) == [row(1)]
    assert list(read_rows(path, Prompt)) == [row(2)]


def _fill(path: Path, queue: "multiprocessing.Queue[str]") -> None:
    import resource
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
    try:
        with Store(path, Prompt) as store:
            for number in range(100):
                store.append(row(number))
    except StoreError as error:
        queue.put(str(error))


def test_a_full_disk_is_one_clear_line_and_keeps_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.Queue[str] = context.Queue()
    process = context.Process(target=_fill, args=(path, queue))
    process.start()
    message = queue.get(timeout=30)
    process.join()
    assert message.startswith(str(path)) and "free some space" in message and "\n" not in message
    with Store(path, Prompt) as store:
        assert store.ids == {f"p{number}" for number in range(len(store.ids))} and len(store.ids) >= 3


def test_write_atomic_leaves_the_old_file_when_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "summary.json"
    write_atomic(path, "old")

    def no_space(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(StoreError, match="free some space"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["summary.json"]


def test_setting_aside_what_is_not_there_does_nothing(tmp_path: Path) -> None:
    set_aside(tmp_path / "nothing")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("n_before", [0, 1, 3])
def test_a_whole_last_row_that_only_lacks_its_newline_is_kept(tmp_path: Path, n_before: int) -> None:
    path = tmp_path / "a.jsonl"
    with Store(path, Prompt) as store:
        for number in range(n_before + 1):
            store.append(row(number))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert [found.id for found in read_rows(path, Prompt)] == [f"p{number}" for number in range(n_before + 1)]
    with Store(path, Prompt) as store:
        assert store.ids == {f"p{number}" for number in range(n_before + 1)}
        assert path.read_bytes() == whole
        store.append(row(9))
        assert list(store.chosen(["p0", "p9"])) == [row(0), row(9)]
    assert [found.id for found in read_rows(path, Prompt)] == [*(f"p{n}" for n in range(n_before + 1)), "p9"]


@pytest.mark.parametrize("text", ["a line of notes", '["not", "ours"]', '{"text": "an answer of somebody else"}'])
def test_the_last_line_of_somebody_elses_file_is_never_cut_off(tmp_path: Path, text: str) -> None:
    path = tmp_path / "theirs.txt"
    path.write_text(text)
    with pytest.raises(RowError, match=r"theirs\.txt:1: not a Prompt row"):
        Store(path, Prompt)
    assert path.read_text().rstrip("\n") == text


@pytest.mark.parametrize("torn", [b"\0" * 40, b"  ", b'{"id": "p1", "prompt": "\xe4\xb8', b'{"id": 5, "pro'])
def test_what_a_kill_or_a_power_cut_leaves_of_a_row_is_cut_off(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "a.jsonl"
    with Store(path, Prompt) as store:
        store.append(row(0))
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    with Store(path, Prompt) as store:
        assert store.ids == {"p0"}
    assert path.read_bytes() == whole


@pytest.mark.parametrize("path", ["fifo", "/dev/full", "/dev/null"])
def test_what_keeps_no_rows_is_refused_at_once(tmp_path: Path, path: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(StoreError, match="is no plain file but a pipe|of the system's own"):
        Store(tmp_path / path, Prompt)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("a file")
    with pytest.raises(StoreError, match="notes"):
        Store(tmp_path / "notes" / "a.jsonl", Prompt)


def test_a_line_that_no_stage_wrote_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("<<<<<<< HEAD\n")
    with pytest.raises(
        RowError, match=r"rows.jsonl:1: not a Prompt row: .*; mend the line or take it out, or set .*--fresh"
    ):
        list(read_rows(path, Prompt))


def test_a_store_that_ends_in_an_error_before_its_first_row_leaves_neither_file_nor_folders(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    path = tmp_path / "kept" / "made" / "rows.jsonl"
    with pytest.raises(EngineError), Store(path, Prompt):
        raise EngineError("the server is not there")
    assert list(tmp_path.rglob("*")) == [tmp_path / "kept"]
    with Store(path, Prompt):
        pass
    assert path.exists(), "no row is a result too"
    with pytest.raises(EngineError), Store(path, Prompt):
        raise EngineError("the server is not there")
    assert path.exists(), "it was there before"
