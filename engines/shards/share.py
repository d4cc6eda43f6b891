"""Shares work: into a folder of shards that many machines fill, or by worker processes into one store."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from console.errors import EngineError
from console.output import tell_plan
from console.progress import progress, say
from engines.shards.claims import MOST_TRIES, Queue
from engines.shards.folder import Folder
from engines.shards.options import ScaleOptions, rows_a_shard
from engines.shards.plan import Item, Plan, items_of, manifest, planned, read_plan, usable, worker_name
from engines.shards.processes import run_processes
from engines.shards.rows import write_part
from engines.shards.work import Job, ask_again, rows_of, work
from records.disk import DiskSet
from records.leftovers import remove_leftovers
from records.rows import Identified
from records.store import Store, set_aside

ItemT = TypeVar("ItemT")
RowT = TypeVar("RowT", bound=Identified)
Rows = Callable[[], Iterable[Item[Any]]]


def do_shards(folder: Folder, plan: Plan, job: Job[Any, Any], options: ScaleOptions, title: str) -> bool:
    """Do the shards that are not done, and return whether all are done.

    Without --shard this command stays until the last one is done, also by another machine. With it only the first few
    machines do. Raises EngineError if shards are given up.
    """
    number, n = options.place
    n_rows = sum(line.rows for line in (ask_again(folder, plan) if number == 0 else manifest(folder, plan)))
    queue = Queue(folder, plan.keys, worker_name(), number, n)
    with progress(title, plan.n, min(n_rows, plan.n)) as advance:
        n_open = queue.n_open()
        if 0 < n_open < options.workers:
            say(f"{title}: {n_open} of {options.workers} workers have a shard each; a smaller --shard-rows makes more")
        if options.workers and n_open:
            if options.on == "ray":
                from engines.shards.on_ray import run_ray  # ray is an extra

                run_ray(folder, plan, job, options.workers, advance, options.gpus_per_worker)
            else:
                run_processes(folder, plan, job, options.workers, advance, options.place, options.gpus_per_worker)
        work(folder, plan, job, queue, tick=lambda: advance(1), stay=options.shard is None or queue.stays)
    if queue.n_open() == 0:
        if folder.path is not None:
            remove_leftovers(folder.path, below=True)
        lines = manifest(folder, plan)
        folder.write("manifest.jsonl", b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
        return True
    if queue.tired:
        raise EngineError(
            f"{folder}: {len(queue.tired)} shards ended {MOST_TRIES} workers each, {queue.tired[0]} first: is there a "
            "text in them that is too long? the same command tries them again"
        )
    return False


def print_progress(folder: Folder, identity: str, source: str, options: ScaleOptions, *, as_json: bool) -> None:
    """Print how many shards are done, as a plan. Raises InputError if the command itself would refuse the folder."""
    plan = usable(folder, identity, source, options.shard_rows, options.shard_kind)
    if plan is None:
        what = "no shards yet" if read_plan(folder) is None else "its shards are of another input"
        text = f"{folder}: {what}; the first machine cuts the input into shards"
        tell_plan({"shards": None, "of": folder.url}, text, as_json=as_json)
        return
    lines = manifest(folder, plan)
    n, n_done, n_failed = len(plan.shards), len(lines), sum(line.failed for line in lines)
    counts = {"shards": n, "done": n_done, "rows": plan.n, "failed": n_failed, "of": folder.url}
    text = f"{folder}: {n_done} of {n} shards are done, {plan.n:,} rows in all, {n_failed} of them failed"
    tell_plan(counts, text, as_json=as_json)


def folder_beside(out: Path) -> Path:
    """Return the folder in which workers share the work on an output file."""
    return out.with_name(f"{out.name}.shards")


def fill_by_workers(store: Store[RowT], job: Job[ItemT, RowT], rows: Rows, options: ScaleOptions, title: str) -> None:
    """Add to `store` the rows that it lacks with worker processes, and put all in the order of the input.

    Until the end the new rows are in a folder beside the store. If the command is stopped, `take_in` finds them there.
    """
    take_in(store, job.row_type)

    def todo() -> Iterator[Item[Any]]:
        return (row for row in rows() if row.id not in store)

    if not (n := sum(1 for _ in todo())):
        return
    folder = Folder(folder_beside(store.path))
    plan = planned(folder, job.identity, "", todo, rows_a_shard(options, n), options.shard_kind)
    _seed(folder, plan, store, job)
    do_shards(folder, plan, job, options, title)
    take_in(store, job.row_type)
    store.replace_all(_in_order(store, rows))


def take_in(store: Store[RowT], row_type: type[RowT], *, fresh: bool = False) -> None:
    """Move all rows that workers left in the folder beside `store` into it, finished shards or not.

    The rows are those of an earlier command that was stopped, perhaps with another --limit. With `fresh` the folder is
    set aside. Raises StoreError if a worker still writes there.
    """
    place = folder_beside(store.path)
    if fresh:
        set_aside(place)
    if not place.exists():
        return
    folder = Folder(place)
    store.take_in(row for part in folder.names("parts").values() for row in rows_of(folder, part, row_type))
    # after the parts: a shard whose failed rows were being asked for again has both, and the newer rows here
    store.take_in(row for path in sorted(place.glob("work/*/*.jsonl")) for row in _left_in(path, row_type))
    folder.remove_all()


def _left_in(path: Path, row_type: type[RowT]) -> Iterator[RowT]:
    """Yield the rows of a shard that is not finished."""
    with Store(path, row_type) as left:
        yield from left.latest()


def _seed(folder: Folder, plan: Plan, store: Store[RowT], job: Job[Any, RowT]) -> None:
    """Give the shards the rows that lack samples, of which only those are asked for."""
    if sum(1 for _ in store.known_ids()) == len(store.ids):
        return
    for shard in plan.keys:
        part = f"parts/{shard}.{plan.kind}"
        before = store.unfinished(items_of(folder, shard, job.item_type))
        if before and not folder.has(part):
            with folder.writing(part) as path:
                write_part(path, before.values(), job.row_type, plan.kind)


def _in_order(store: Store[RowT], rows: Rows) -> Iterator[RowT]:
    """Yield the rows of the store in the order of the input, then its other rows."""
    seen = DiskSet()
    yield from store.chosen(row.id for row in rows() if seen.add(row.id))
    yield from (row for row in store.latest() if row.id not in seen)  # beyond --limit


def shared_rows(folder: Folder, plan: Plan, row_type: type[RowT]) -> Iterator[tuple[str, RowT]]:
    """Yield each finished row with its place, in the order of the input."""
    for line in manifest(folder, plan):
        for number, row in enumerate(rows_of(folder, line.part, row_type), start=1):
            yield f"{folder}/{line.part}:{number}", row


def say_open(folder: Folder, plan: Plan) -> None:
    """Say how many shards are not done, which other machines may be doing."""
    n_open = Queue(folder, plan.keys, worker_name()).n_open()
    say(f"{folder}: nothing is left to take; {n_open} of {len(plan.shards)} shards are not done")
