"""A thousand workers that fail, simulated: the real queue of shards, with a clock of its own and without a model.

python -m benchmarks.scale_out.simulation                           100M rows, 1,000 workers: about six minutes
python -m benchmarks.scale_out.simulation --workers 100 --rows 1000000 --mtbf-h 4

The queue is engines/shards/claims.py over an object store in memory. Only time is made up: a shard takes rows / rate,
give or take, and a worker dies after an exponential time in the middle of what it does. A new one comes after a while.
"""

import heapq
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import tyro

from console.table import Cell, print_table
from engines.shards.claims import BEATS_A_LEASE, LEASE_S, Queue
from engines.shards.folder import Folder
from engines.shards.options import ROWS_A_SHARD
from engines.shards.work import MOST_POLL_S
from records.keys import content_key


@dataclass(frozen=True)
class Options:
    """The work and its workers."""

    rows: int = 100_000_000
    shard_rows: int = ROWS_A_SHARD
    workers: int = 1000
    rate: float = 20.0
    """Rows a second of one worker."""
    spread: float = 0.1
    """Standard deviation of a shard's time, as a share of it."""
    mtbf_h: float = 24.0
    """Mean hours until a worker dies. 0: none dies."""
    back_s: float = 600.0
    """Seconds until another one is there in its place."""
    start_s: float = 120.0
    """Seconds that a worker takes to load its model."""
    seed: int = 0


class CountingFolder(Folder):
    """An object store that counts what it is asked."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.n: Counter[str] = Counter()

    def names(self, inside: str) -> dict[str, str]:
        """Count a listing of up to 1,000 names as one request, as stores do."""
        found = super().names(inside)
        self.n["lists"] += 1 + len(found) // 1000
        return found

    def has(self, name: str) -> bool:
        """Count a request."""
        self.n["reads"] += 1
        return super().has(name)

    def read(self, name: str) -> bytes | None:
        """Count a request."""
        self.n["reads"] += 1
        return super().read(name)

    def write(self, name: str, data: bytes) -> None:
        """Count the two requests of a write and a rename, and do one."""
        self.n["writes"] += 2
        self._store.pipe_file(self._at(name), data)

    def create(self, name: str, data: bytes) -> bool:
        """Count a request."""
        self.n["writes"] += 1
        return super().create(name, data)


@dataclass
class Simulation:
    """Time, the workers, and what became of the shards."""

    options: Options
    folder: CountingFolder
    keys: list[str]
    now: float = 0.0
    events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    n_events: int = 0
    n_deaths: int = 0
    n_lives: int = 0
    times_done: Counter[str] = field(default_factory=Counter)
    busy_s: float = 0.0
    """Time of workers spent on shards that they finished first."""
    paid_s: float = 0.0
    """Time of workers from their start to their end."""
    end_s: float = 0.0

    def at(self, seconds: float, do: Callable[[], None]) -> None:
        """Do something later."""
        self.n_events += 1
        heapq.heappush(self.events, (self.now + seconds, self.n_events, do))

    def run(self) -> None:
        """Start all workers, and go on until none is left."""
        for number in range(self.options.workers):
            Worker(self, number)
        while self.events:
            self.now, _, do = heapq.heappop(self.events)
            do()


class Worker:
    """One life of a worker."""

    def __init__(self, simulation: Simulation, number: int) -> None:
        options = simulation.options
        self.simulation, self.number, self.shard = simulation, number, ""
        self.name = f"w{number}-{simulation.n_lives}"
        simulation.n_lives += 1
        self.random = random.Random(f"{options.seed} {self.name}")
        self.queue = Queue(
            simulation.folder, simulation.keys, self.name, number, options.workers,
            clock=lambda: simulation.now, lives=lambda _: True,
        )  # fmt: skip
        self.is_alive, self.began_s = True, simulation.now
        if options.mtbf_h:
            simulation.at(self.random.expovariate(1 / (3600 * options.mtbf_h)), self.die)
        simulation.at(options.start_s, self.take)

    def die(self) -> None:
        """End in the middle of whatever it does, and send another one."""
        if not self.is_alive:
            return
        self.end()
        self.simulation.n_deaths += 1
        if len(self.simulation.times_done) < len(self.simulation.keys):
            self.simulation.at(self.simulation.options.back_s, lambda: Worker(self.simulation, self.number) and None)

    def end(self) -> None:
        """End, and cost no more."""
        self.is_alive = False
        self.simulation.paid_s += self.simulation.now - self.began_s

    def take(self) -> None:
        """Take a shard, or wait, or end."""
        if not self.is_alive:
            return
        key = self.queue.take()
        if key is not None:
            options = self.simulation.options
            self.shard = key
            took_s = options.shard_rows / options.rate * max(0.1, self.random.gauss(1, options.spread))
            self.simulation.at(took_s, lambda: self.finish(key, took_s))
            self.simulation.at(LEASE_S / BEATS_A_LEASE, lambda: self.beat(key))
        elif self.queue.stays and self.queue.n_open():
            self.simulation.at(MOST_POLL_S, self.take)
        else:
            self.end()

    def beat(self, key: str) -> None:
        """Renew the claim on a shard, as long as it is this worker's."""
        if self.is_alive and self.shard == key:
            self.queue.beat()
            self.simulation.at(LEASE_S / BEATS_A_LEASE, lambda: self.beat(key))

    def finish(self, key: str, took_s: float) -> None:
        """Finish a shard and take the next."""
        if not self.is_alive:
            return
        simulation = self.simulation
        simulation.times_done[key] += 1
        if simulation.times_done[key] == 1:
            simulation.busy_s += took_s
            simulation.end_s = simulation.now
        simulation.folder.write(f"done/{key}", b"{}")
        self.queue.finished(key)
        self.shard = ""
        self.take()


def simulated(options: Options) -> dict[str, Any]:
    """Return what became of the work. Everything follows from the options."""
    folder = CountingFolder(f"memory://simulation-{options.seed}")
    n_shards = -(-options.rows // options.shard_rows)
    simulation = Simulation(options, folder, [content_key(number) for number in range(n_shards)])
    try:
        simulation.run()
    finally:
        folder.remove_all()
    ideal_s = options.rows / options.rate / options.workers
    return {
        "shards": n_shards,
        "done": len(simulation.times_done),
        "done twice": sum(n > 1 for n in simulation.times_done.values()),
        "deaths": simulation.n_deaths,
        "hours": simulation.end_s / 3600,
        "ideal hours": ideal_s / 3600,
        "paid hours": simulation.paid_s / 3600,
        "useful, %": 100 * simulation.busy_s / simulation.paid_s,
        "requests": sum(folder.n.values()),
        **folder.n,
    }


def main(options: Options) -> None:
    """Print the work without failures and with them."""
    rows: list[dict[str, Cell]] = []
    for mtbf_h in (0.0, options.mtbf_h):
        began = time.process_time()
        made = simulated(Options(**{**vars(options), "mtbf_h": mtbf_h}))
        rows.append({"a worker dies after, h": mtbf_h or None, **made, "CPU-s": time.process_time() - began})
    print_table(rows)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
