"""Answers the prompts of a file, in this process, with workers, or as one of many machines."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

from console.errors import InputError
from console.output import tell, tell_plan
from console.progress import progress, say
from console.table import Cell, print_table
from engines.answers import check_said, unwritten
from engines.candidates.options import Config
from engines.candidates.shards import WINDOW, answer_shard, answering, identity_of
from engines.options import open_engine, pinned
from engines.protocol import Engine, Sampling
from engines.shards.folder import Folder
from engines.shards.inputs import input_key, local_files
from engines.shards.options import check_scale
from engines.shards.plan import Item, planned
from engines.shards.share import do_shards, fill_by_workers, print_progress, say_open, shared_rows, take_in
from records import Response, Store
from records.disk import DiskSet
from records.files import BadRows, take
from records.finish import cut_off
from records.inputs import check_out, output_name
from records.keys import content_key
from records.shapes import read_prompts

OUT = Path("runs/answers")


def answer(config: Config) -> None:
    """Answer, store and print a table."""
    config = replace(config, engine=pinned(config.engine))
    if config.file is None:
        raise InputError("nothing to answer; give a file of prompts")
    check_scale(config.scale, out=config.out is not None, fresh=config.fresh)
    if config.scale.scale:
        raise InputError("--scale: answers carry no times; judges.score --dry-run --scale has them for the judge")
    check_out(config.out, config.file)
    sampling = Sampling(config.max_new_tokens, config.temperature, config.top_p)
    engine = open_engine(config.engine)
    if config.scale.shards:
        _in_shards(config, config.file, engine, sampling)
        return
    n = sum(1 for _ in _rows(config, config.file, engine, sampling))
    out = config.out or OUT / f"{output_name(config.file)}-{identity_of(engine, sampling)}.jsonl"
    if config.dry_run:
        plan = {"answers": n, "of": str(config.file), "model": engine.name, "out": out}
        tell_plan(plan, f"would write {n} answers of {engine.name} to {out}", as_json=config.json)
        return
    items = partial(_items, config, config.file, engine, sampling, quiet=True)
    with Store(out, Response, fresh=config.fresh) as store:
        take_in(store, Response, fresh=config.fresh)
        wanted = _checked(store, engine, items(), config)
        title = f"{engine.name} answering"
        if config.scale.workers:
            fill_by_workers(store, answering(config.engine, engine, sampling), items, config.scale, title)
        else:
            _fill_here(store, engine, sampling, items(), n, title)
        _report(store.chosen(wanted), engine, n, out, config)


def _in_shards(config: Config, file: Path, engine: Engine, sampling: Sampling) -> None:
    """Answer as one of the machines that share a folder."""
    folder, job = Folder(str(config.scale.shards)), answering(config.engine, engine, sampling)
    source = content_key(input_key(file), config.limit, config.n, config.seed, config.strict)
    if config.dry_run:
        print_progress(folder, job.identity, source, config.scale, as_json=config.json)
        return
    items = partial(_items, config, file, engine, sampling)
    plan = planned(folder, job.identity, source, items, config.scale.shard_rows, config.scale.shard_kind)
    if not do_shards(folder, plan, job, config.scale, f"{engine.name} answering"):
        say_open(folder, plan)
    elif config.scale.shard is None:
        _report((row for _, row in shared_rows(folder, plan, Response)), engine, plan.n, folder, config)


def _rows(config: Config, file: Path, engine: Engine, sampling: Sampling, *, quiet: bool = False) -> Iterator[Response]:
    """Yield the answers still without their texts, all of a prompt's after one another. The same one comes once."""
    seen = DiskSet()
    prompts = (
        row for path in local_files(file) for row in read_prompts(path, BadRows(strict=config.strict, quiet=quiet))
    )
    for prompt in take(prompts, config.limit):
        for number in range(config.n):
            row = unwritten(engine, prompt, sampling, config.seed, number, None)
            if seen.add(row.id):
                yield row


def _items(
    config: Config, file: Path, engine: Engine, sampling: Sampling, *, quiet: bool = False
) -> Iterator[Item[Response]]:
    return (Item(row.id, row) for row in _rows(config, file, engine, sampling, quiet=quiet))


def _checked(store: Store[Response], engine: Engine, items: Iterable[Item[Response]], config: Config) -> DiskSet:
    """Return the ids of all answers. Raises InputError if `store` has answers of something else alone."""
    wanted = DiskSet()
    for item in items:
        wanted.add(item.id)
    check_said(store, engine, wanted)
    if not store.is_empty and not any(row_id in wanted for row_id in store.known_ids()):
        raise InputError(
            f"{store.path}: holds answers to other prompts, of another model, or with other settings: give another "
            "--out, or --fresh, which sets it aside"
        )
    return wanted


def _fill_here(
    store: Store[Response], engine: Engine, sampling: Sampling, items: Iterator[Item[Response]], n: int, title: str
) -> None:
    n_done = len(store.ids)
    with progress(title, n, min(n, n_done)) as advance:
        while window := {item.id: item.item for item in islice(items, WINDOW)}:
            for _ in answer_shard(engine, sampling, store, window):
                advance(1)


@dataclass
class _Counts:
    n: int = 0
    n_cut: int = 0
    n_chars: int = 0


def _report(rows: Iterable[Response], engine: Engine, n: int, out: object, config: Config) -> None:
    counts = _Counts()
    for row in rows:
        counts.n += 1
        counts.n_cut += cut_off(row.finish_reason) is not None
        counts.n_chars += len(row.response)
    if counts.n < n:
        say(f"{n - counts.n} of {n} answers are missing; the same command asks for them again")
    table: dict[str, Cell] = {
        "model": engine.name,
        "answers": counts.n,
        "missing": n - counts.n,
        "cut off": counts.n_cut,
        "mean chars": counts.n_chars / counts.n if counts.n else None,
    }
    print_table([table], as_json=config.json)
    if not config.json:
        tell("", str(out))
