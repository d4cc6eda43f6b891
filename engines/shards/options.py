"""The flags that spread work over processes and machines."""

import re
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated, Literal

import tyro

from console.errors import EngineError, InputError
from console.ranges import Count, CountOr0, NotNegative, check_ranges

PLACE = re.compile(r"(\d+)/(\d+)")
ROWS_A_SHARD = 16384
"""Two windows of `judges.judging.stream`, so that an engine in process plans the same batches as without shards."""
SHARDS_OF_A_FILE = 64
"""How many shards workers alone have, if they are neither smaller than the next number nor larger than ROWS_A_SHARD."""
LEAST_ROWS_A_SHARD = 128
"""Enough for full batches of an engine in process, and for a server to have many calls under way."""
NO_RAY = "--on ray needs Ray, in this environment and on the nodes: pip install 'judgeloop[ray]', which is ray[data]"


@dataclass(frozen=True)
class WorkerOptions:
    """The workers that share the work."""

    workers: CountOr0 = 0
    """Worker processes, each with its own engine. 0: this process does the work."""
    on: Literal["processes", "ray"] = "processes"
    """Where the workers run: on this machine, or on the Ray cluster of RAY_ADDRESS (without it, a local one)."""
    gpus_per_worker: NotNegative = 0.0
    """GPUs of each worker. 0: all workers see all GPUs (processes), or none (ray)."""


@dataclass(frozen=True)
class ScaleOptions(WorkerOptions):
    """The workers, and the folder in which they share their work."""

    shards: str | None = None
    """A folder or URL (s3://bucket/run) for finished shards, instead of --out. All machines that share it can work
    at once."""
    shard: str | None = None
    """I/N: work as machine I, from 0, of the N that share --shards, and print no table. In a Slurm array:
    $SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT."""
    shard_rows: Count | None = None
    """Rows of a shard, the most that is lost with a machine whose disk is lost. Left out: as in --shards so far, or
    16384; with --workers alone a 64th of the file, from 128 to 16384."""
    shard_kind: Literal["jsonl", "jsonl.zst", "parquet"] = "jsonl.zst"
    """The kind of the files in --shards."""
    scale: bool = False
    """With --dry-run: the time and cost of this input, of 1M and of 100M rows, by the rows made so far."""
    worker_price: NotNegative = 0.0
    """US dollars per hour of a worker, for --scale. 0: the tokens' price, if the model has one."""

    @property
    def place(self) -> tuple[int, int]:
        """Return I and N of --shard. Raises InputError if it is none."""
        match = PLACE.fullmatch(self.shard or "0/1")
        if match is None or not int(match[1]) < int(match[2]):
            raise InputError(f"--shard must be I/N with I from 0 to N - 1, such as 0/8, not '{self.shard}'")
        return int(match[1]), int(match[2])


SharedWorkerOptions = Annotated[WorkerOptions, tyro.conf.OmitArgPrefixes]
SharedScaleOptions = Annotated[ScaleOptions, tyro.conf.OmitArgPrefixes]


def rows_a_shard(options: ScaleOptions, n: int) -> int:
    """Return how many of `n` rows are a shard.

    With --shards it does not depend on `n`, so that an input that grows keeps its shards. Workers alone share smaller
    ones, so that a few thousand rows are work for several. It does not depend on the number of workers, so that the
    rows, which may depend on their batches in the last digits, do not either.
    """
    if options.shard_rows or options.shards:
        return options.shard_rows or ROWS_A_SHARD
    return min(ROWS_A_SHARD, max(LEAST_ROWS_A_SHARD, -(-n // SHARDS_OF_A_FILE)))


def check_workers(options: WorkerOptions) -> None:
    """Raise InputError if a setting is out of range or settings conflict."""
    check_ranges(options)
    if options.on == "ray" and not options.workers:
        raise InputError("--on ray: give the number of workers too, --workers")
    if options.on == "ray" and find_spec("ray") is None:  # before a file is opened for what cannot be made
        raise EngineError(NO_RAY)


def check_scale(options: ScaleOptions, *, out: bool, fresh: bool = False) -> None:
    """Raise InputError if settings conflict. `out` and `fresh` say whether --out and --fresh are given."""
    check_workers(options)
    options.place  # noqa: B018  raises
    if options.shards and out:
        raise InputError("--shards is the output: leave out --out")
    if options.shards and fresh:
        raise InputError("--fresh does not remove shards that other machines may be writing: give another --shards")
    if options.shard and not options.shards:
        raise InputError("--shard names a machine of several that share a folder: give --shards too")
