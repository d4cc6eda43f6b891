"""The plan of shared work: its shards, each named by the keys of its rows, and the rows of each as a file."""

import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Generic, TypeVar

import msgspec

from console.errors import EngineError, InputError
from console.progress import say
from engines.shards.claims import MOST_TRIES, Queue
from engines.shards.folder import Folder
from engines.shards.options import ROWS_A_SHARD
from engines.shards.rows import Kind, read_part, write_part
from records.keys import content_key

ItemT = TypeVar("ItemT")
POLL_S = 2.0


class Item(msgspec.Struct, Generic[ItemT], frozen=True):
    """One row of the input, and the id of the row that is made of it."""

    id: str
    item: ItemT


class Shard(msgspec.Struct, frozen=True):
    """Some consecutive rows of the input."""

    key: str
    """16 hex digits of the ids of its rows."""
    n: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The shards of one job on one input."""

    identity: str
    """What made the rows: a judge's fingerprint."""
    source: str
    """A key of the input and of the settings that cut it into shards."""
    kind: Kind
    """The kind of file of the finished shards."""
    rows: int
    """Rows of a shard. The last one may have fewer."""
    shards: list[Shard]

    @property
    def n(self) -> int:
        """Return the number of rows."""
        return sum(shard.n for shard in self.shards)

    @property
    def keys(self) -> list[str]:
        """Return the keys of the shards in the order of the input."""
        return [shard.key for shard in self.shards]


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the manifest: a finished shard."""

    shard: str
    part: str
    """The file of its rows."""
    rows: int
    failed: int
    """Rows that the same command asks for again, and items that have no row."""
    identity: str
    digest: str
    """16 hex digits of the part's bytes."""


def read_plan(folder: Folder) -> Plan | None:
    """Return the folder's plan, or None if there is none yet. Raises InputError if it cannot be read."""
    data = folder.read("plan.json")
    try:
        return None if data is None else msgspec.json.decode(data, type=Plan)
    except msgspec.MsgspecError as error:
        advice = "remove it, and the command with the same --shard-rows cuts the input again and keeps finished shards"
        raise InputError(f"{folder}/plan.json: not a plan of shards: {error}; {advice}") from None


def planned(
    folder: Folder, identity: str, source: str, rows: Callable[[], Iterable[Item[Any]]], n_rows: int | None, kind: Kind
) -> Plan:
    """Return the plan of this job, which the first of all workers makes by reading the input. The others wait for it.

    `n_rows` is the number of rows of a shard, None that of the plan so far, or ROWS_A_SHARD. Finished shards of an
    earlier plan whose rows are the same stay finished. Raises InputError if the folder has another job's rows or shards
    of another size, and EngineError if all who began to cut the input ended.
    """
    before = read_plan(folder)
    size = n_rows or (before.rows if before is not None and before.identity == identity else ROWS_A_SHARD)
    queue = Queue(folder, [f"plan-{content_key(identity, source, size, kind)}"], worker_name())
    said = False
    while True:
        if (plan := usable(folder, identity, source, n_rows, kind)) is not None:
            return plan
        if (key := queue.take()) is not None:
            try:
                shards = list(_cut(folder, rows(), size, queue))
                plan = Plan(identity=identity, source=source, kind=kind, rows=size, shards=shards)
                folder.write("plan.json", msgspec.json.encode(plan))
            finally:
                queue.give_up(key)
            return plan
        if queue.tired:
            raise EngineError(
                f"{folder}: {MOST_TRIES} processes ended while they cut the input into shards: is there "
                f"memory and disk for it? to try again, remove {folder}/claims"
            )
        if not said:
            said = True
            say(f"{folder}: another process is cutting the input into shards; waiting for it")
        time.sleep(POLL_S)


def usable(folder: Folder, identity: str, source: str, n_rows: int | None, kind: Kind) -> Plan | None:
    """Return the folder's plan if it is this job's on this input, or None if this job has to make one.

    Raises InputError if the folder has another job's rows, or rows in shards of another size than `n_rows`.
    """
    plan = read_plan(folder)
    if plan is None:
        return None
    n_rows = n_rows or plan.rows
    if (plan.identity, plan.kind, plan.rows) != (identity, kind, n_rows) and not folder.names("done"):
        return None  # nothing of the other plan is lost
    if plan.identity != identity or plan.kind != kind:
        what = f"rows of another job ({plan.identity}, {plan.kind}; this one is {identity}, {kind})"
        raise InputError(f"{folder}: holds {what}: give another --shards")
    if plan.rows != n_rows:
        what = f"shards of {plan.rows} rows, not {n_rows}, and some are done"
        raise InputError(f"{folder}: holds {what}: leave out --shard-rows, or give another --shards")
    return plan if plan.source == source else None


def _cut(folder: Folder, rows: Iterable[Item[Any]], n_rows: int, queue: Queue) -> Iterator[Shard]:
    rest = iter(rows)
    known = folder.names("items")
    while chunk := list(islice(rest, n_rows)):
        key = content_key(*(row.id for row in chunk))
        if f"{key}.jsonl.zst" not in known:
            with folder.writing(f"items/{key}.jsonl.zst") as path:
                write_part(path, chunk, Item, "jsonl.zst")
        queue.beat()
        yield Shard(key, len(chunk))


def items_of(folder: Folder, shard: str, item_type: type[ItemT]) -> dict[str, ItemT]:
    """Return the items of a shard by the ids of their rows."""
    with folder.reading(f"items/{shard}.jsonl.zst") as path:
        return {row.id: row.item for row in read_part(path, Item[item_type], "jsonl.zst")}  # type: ignore[valid-type]


def manifest(folder: Folder, plan: Plan) -> list[Finished]:
    """Return the line of each finished shard in the order of the input."""
    there = folder.names("done")
    lines = (folder.read(there[key]) for key in plan.keys if key in there)
    return [msgspec.json.decode(line, type=Finished) for line in lines if line]


def worker_name() -> str:
    """Return a name for a worker of this process, which no other living one has."""
    return f"{socket.gethostname()}-{os.getpid()}"
