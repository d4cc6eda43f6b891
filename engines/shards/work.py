"""The work on one shard, the same wherever it is done, and the loop of a worker that takes one shard after another."""

import hashlib
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from console.again import StartAgain
from console.errors import EngineError, JudgeloopError, StoreError
from console.progress import say
from engines.shards.claims import BEATS_A_LEASE, LEASE_S, MOST_TRIES, Queue, claimed
from engines.shards.folder import Folder
from engines.shards.plan import POLL_S, Finished, Plan, items_of, manifest
from engines.shards.rows import kind_of, read_part, write_part
from records.disk.locked import in_use
from records.rows import Identified
from records.store import Store, write_rows

ItemT = TypeVar("ItemT")
RowT = TypeVar("RowT", bound=Identified)
MOST_POLL_S = 30.0
Fill = Callable[[Store[RowT], Mapping[str, ItemT]], Iterator[None]]
"""Adds to the store the rows that it lacks, those of the items by id, and yields after each."""


@dataclass(frozen=True)
class Job(Generic[ItemT, RowT]):
    """Work on rows that can be done anywhere. It is sent to the workers, so its functions are a module's own."""

    identity: str
    """What makes the rows: a judge's fingerprint."""
    item_type: type[ItemT]
    row_type: type[RowT]
    is_done: Callable[[RowT], bool]
    """Whether a row is not to be made again."""
    open: Callable[[], tuple[str, Fill[RowT, ItemT]]]
    """Loads what the work needs, once for each worker, and returns its identity there and the function that works."""


def work_on(
    folder: Folder, plan: Plan, job: Job[Any, Any], shard: str, fill: Fill[Any, Any], tick: Callable[[], None]
) -> Finished:
    """Make the rows of one shard and return its line of the manifest.

    Rows are appended to a store as they are made. On a shared disk the next worker goes on with it if this one dies.
    In an object store there is none, and at most one shard is done again.
    """
    items = items_of(folder, shard, job.item_type)
    part = f"parts/{shard}.{plan.kind}"
    with _place(folder, shard) as path:
        if not path.exists() and folder.has(part):
            with folder.reading(part) as earlier:  # has rows that failed, or that a killed worker left without its line
                write_rows(path, read_part(earlier, job.row_type, plan.kind))
        with Store(path, job.row_type, keep=job.is_done) as store:
            for _ in fill(store, items):
                tick()
        with Store(path, job.row_type, keep=job.is_done) as store:  # opened again: failed rows are none of `ids` now
            with folder.writing(part) as target:
                write_part(target, store.chosen(items), job.row_type, plan.kind)
                with target.open("rb") as file:
                    digest = hashlib.file_digest(file, partial(hashlib.blake2b, digest_size=8)).hexdigest()
            rows = sum(1 for _ in store.known_ids())
            failed = len(items) - sum(row_id in store.ids for row_id in items)
        line = Finished(shard=shard, part=part, rows=rows, failed=failed, identity=plan.identity, digest=digest)
        folder.write(f"done/{shard}", msgspec.json.encode(line))
    return line


@contextmanager
def _place(folder: Folder, shard: str) -> Iterator[Path]:
    """Yield the path of the shard's store, which is removed once the shard is done."""
    path = None if folder.path is None else folder.path / "work" / shard / "rows.jsonl"
    if path is None or in_use(path):  # by a worker that was only slow, and may finish first
        with tempfile.TemporaryDirectory() as scratch:
            yield Path(scratch) / "rows.jsonl"
        return
    yield path
    shutil.rmtree(path.parent, ignore_errors=True)


def work(
    folder: Folder,
    plan: Plan,
    job: Job[Any, Any],
    queue: Queue,
    *,
    tick: Callable[[], None] = lambda: None,
    stay: bool = False,
) -> int:
    """Do shards until none is left to take, and return how many. With `stay`, until all are done, by whomever.

    Raises EngineError if the job is not the same here as it was planned, for example another version of the weights.
    """
    fill: Fill[Any, Any] | None = None
    n_done, pause_s = 0, POLL_S
    while True:
        shard = queue.take()
        if shard is None:
            if stay and queue.n_open() > len(queue.tired):
                time.sleep(pause_s)
                pause_s = min(1.5 * pause_s, MOST_POLL_S)
                continue
            return n_done
        pause_s = POLL_S
        try:
            fill = fill or _opened(job, plan)
            with _beating(queue):
                work_on(folder, plan, job, shard, fill, tick)
        except BaseException:
            queue.give_up(shard)
            raise
        queue.finished(shard)
        n_done += 1


@dataclass(frozen=True)
class LastWord:
    """What a worker in another process tells the command at its end."""

    error: str = ""
    again: tuple[str, frozenset[str]] | None = None
    """What StartAgain is about, and its facts."""

    def obey(self) -> None:
        """Raise in the command what the worker raised."""
        if self.again is not None:
            raise StartAgain(self.error, *self.again)
        if self.error:
            raise EngineError(self.error)


def last_word(call: Callable[[], object]) -> LastWord:
    """Return what is to be told of a call."""
    try:
        call()
    except StartAgain as again:
        return LastWord(str(again), (again.about, again.facts))
    except JudgeloopError as error:
        return LastWord(str(error))
    return LastWord()


def _opened(job: Job[Any, Any], plan: Plan) -> Fill[Any, Any]:
    identity, fill = job.open()
    if identity != plan.identity:
        raise EngineError(
            f"the shards are {plan.identity}'s, and on this machine the same flags give {identity}: use the same "
            "version of the project and of the model on all machines"
        )
    return fill


@contextmanager
def _beating(queue: Queue) -> Iterator[None]:
    """Renew the claim from time to time until the block ends."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(LEASE_S / BEATS_A_LEASE):
            try:
                queue.beat()
            except StoreError as error:  # the next one may get through
                say(f"{error}; the claim on a shard is not renewed")

    thread = threading.Thread(target=beat, name="claims", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def rows_of(folder: Folder, part: str, row_type: type[RowT]) -> Iterator[RowT]:
    """Yield the rows of a finished part."""
    with folder.reading(part) as path:
        yield from read_part(path, row_type, kind_of(part))


def ask_again(folder: Folder, plan: Plan) -> list[Finished]:
    """Open the shards again that have failed rows, whose file somebody removed, or that were given up.

    Returns the lines of those that are done.
    """
    lines, parts = manifest(folder, plan), set(folder.names("parts").values())
    gone = {line.shard for line in lines if line.part not in parts}
    failed = {line.shard for line in lines if line.failed} - gone
    there = {line.shard for line in lines}
    tired = {key for key, number in claimed(folder).items() if number >= MOST_TRIES - 1 and key not in there}
    for name, path in folder.names("claims").items():
        if name.rpartition(".")[0] in gone | failed | tired:
            folder.remove(path)
    for shard in gone | failed:  # after their claims, without which nobody would take them
        folder.remove(f"done/{shard}")
    if failed:
        say(f"{folder}: {len(failed)} of {len(plan.shards)} shards have failed rows, which are asked for again")
    if gone:
        say(f"{folder}: the files of {len(gone)} of {len(plan.shards)} shards are gone, and are made again")
    return [line for line in lines if line.shard not in gone | failed]
