import os
from pathlib import Path
from typing import Any

import pytest

from console.errors import InputError, StoreError
from engines.shards.claims import LEASE_S, MOST_TRIES, Queue, give_back
from engines.shards.folder import Folder
from engines.shards.options import ScaleOptions, check_scale
from engines.shards.processes import gpus_of_workers

KEYS = [f"{n:016x}" for n in range(6)]


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["disk", "store"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    found = Folder(tmp_path if request.param == "disk" else "memory://claims")
    yield found
    found.remove_all()


def queue(folder: Folder, worker: str, clock: Clock, number: int = 0, n: int = 1) -> Queue:
    return Queue(folder, KEYS, worker, number, n, clock, lives=lambda _: True)


def finish(folder: Folder, key: str | None) -> None:
    assert key is not None
    folder.write(f"done/{key}", b"{}")


def test_each_worker_begins_with_its_own_shards_and_no_two_get_the_same(folder: Folder) -> None:
    clock = Clock()
    first, second = (queue(folder, f"w{i}", clock, i, 2) for i in range(2))
    taken = [first.take(), second.take(), first.take(), second.take()]
    assert taken == [KEYS[0], KEYS[1], KEYS[2], KEYS[3]]


def test_a_worker_without_shards_of_its_own_takes_those_of_others_until_all_are_held(folder: Folder) -> None:
    clock = Clock()
    only = queue(folder, "w1", clock, 1, 2)
    assert {only.take() for _ in KEYS} == set(KEYS)
    assert queue(folder, "w0", clock, 0, 2).take() is None


def test_a_claim_is_void_once_it_is_not_renewed(folder: Folder) -> None:
    clock = Clock()
    dead, alive, thief = (queue(folder, name, clock) for name in ("dead", "alive", "thief"))
    assert [dead.take(), alive.take()] == KEYS[:2]
    for key in KEYS[2:]:
        assert alive.take() == key
    clock.now += LEASE_S / 2
    alive.beat()
    assert thief.take() is None
    clock.now += LEASE_S / 2
    assert thief.take() == KEYS[0] and thief.take() is None
    assert queue(folder, "late", clock).take() is None  # the thief's claim is new


def test_a_shard_that_is_done_is_not_taken_though_nobody_holds_it(folder: Folder) -> None:
    finish(folder, KEYS[0])
    assert queue(folder, "w", Clock()).take() == KEYS[1]


def test_the_shard_of_a_dead_process_of_this_machine_is_taken_at_once(folder: Folder) -> None:
    clock = Clock()
    first = queue(folder, "first", clock)
    assert {first.take() for _ in KEYS} == set(KEYS)
    assert Queue(folder, KEYS, "next", clock=clock, lives=lambda process: process != os.getpid()).take() == KEYS[0]


def test_a_worker_that_begins_again_under_its_name_takes_its_shard_back(folder: Folder) -> None:
    clock = Clock()
    assert queue(folder, "job-7", clock).take() == KEYS[0]
    others = queue(folder, "others", clock)
    assert [others.take() for _ in KEYS[1:]] == KEYS[1:]
    assert queue(folder, "job-7", clock).take() == KEYS[0]


def test_shards_that_are_given_back_are_taken_at_once(folder: Folder) -> None:
    clock = Clock()
    first = queue(folder, "first", clock)
    assert {first.take() for _ in KEYS} == set(KEYS)
    finish(folder, KEYS[0])
    first.give_up(KEYS[1])
    assert queue(folder, "second", clock).take() == KEYS[1]
    give_back(folder, "first")
    third = queue(folder, "third", clock)
    assert {third.take() for _ in KEYS[2:]} == set(KEYS[2:]) and third.take() is None


def test_a_shard_that_ends_every_worker_is_given_up(folder: Folder) -> None:
    clock = Clock()
    for key in KEYS[1:]:
        finish(folder, key)
    n_tries = 0
    while queue(folder, f"w{n_tries}", clock).take() is not None:
        n_tries += 1
        clock.now += LEASE_S
    assert n_tries == MOST_TRIES
    last = queue(folder, "last", clock)
    assert last.take() is None and last.tired == [KEYS[0]]


def test_a_shard_whose_last_worker_lives_is_not_given_up(folder: Folder) -> None:
    clock = Clock()
    for key in KEYS[1:]:
        finish(folder, key)
    for n in range(MOST_TRIES):
        clock.now += LEASE_S
        assert queue(folder, f"w{n}", clock).take() == KEYS[0]
    other = queue(folder, "other", clock)
    assert other.take() is None and other.tired == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (ScaleOptions(shards="x", shard="8/8"), "--shard must be I/N"),
        (ScaleOptions(shards="x", shard="first"), "--shard must be I/N"),
        (ScaleOptions(shards="x"), "--fresh does not remove shards"),
        (ScaleOptions(shard="0/8"), "give --shards too"),
        (ScaleOptions(on="ray"), "give the number of workers too"),
    ],
)
def test_flags_that_do_not_fit_together_are_named(options: ScaleOptions, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_scale(options, out=False, fresh=True)


@pytest.mark.parametrize("method", ["ls", "exists", "cat_file", "rm", "put_file", "get_file", "pipe_file"])
def test_a_store_that_cannot_be_reached_is_one_line_with_its_url(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Folder(f"memory://reached-{method}")

    def unreachable(*_: object, **__: object) -> None:
        raise RuntimeError("no credentials\nat line 3")

    def write_and_read() -> None:
        folder.write("a", b"x")
        assert folder.create("b", b"x") and folder.has("a") and folder.read("a") == b"x" and folder.names("") != {}
        with folder.reading("a"):
            folder.remove("b")

    write_and_read()
    monkeypatch.setattr(folder._store, method, unreachable, raising=True)
    with pytest.raises(StoreError, match=f"memory://reached-{method}: no credentials at line 3"):
        write_and_read()
    monkeypatch.undo()
    folder.remove_all()


def test_a_url_that_nothing_here_can_open_is_an_error_with_what_to_install() -> None:
    with pytest.raises(InputError, match=r"s3://bucket/x: .*s3fs"):
        Folder("s3://bucket/x")
    with pytest.raises(InputError, match="nothing://x"):
        Folder("nothing://x")


def test_workers_get_gpus_of_their_own_or_share_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    assert gpus_of_workers(2, 0) == [None, None]
    assert gpus_of_workers(4, 1) == ["4", "5", "6", "7"] and gpus_of_workers(2, 2) == ["4,5", "6,7"]
    assert gpus_of_workers(5, 0.5) == ["4", "4", "5", "5", "6"]
    with pytest.raises(InputError, match="5 workers with 1 GPUs each need 5, and 4 are here"):
        gpus_of_workers(5, 1)
    with pytest.raises(InputError, match="whole number"):
        gpus_of_workers(2, 1.5)
