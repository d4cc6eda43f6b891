"""Workers as actors of a Ray cluster. One that is lost, with its node or alone, is replaced on another node."""

import os
from collections.abc import Callable
from typing import Any

from console.again import all_learned, know
from console.errors import EngineError
from console.progress import say
from engines.shards.claims import Queue, give_back
from engines.shards.folder import Folder
from engines.shards.options import NO_RAY
from engines.shards.plan import Plan, worker_name
from engines.shards.processes import MOST_DEATHS
from engines.shards.work import Job, LastWord, last_word, work

try:
    import ray
except ImportError:
    raise EngineError(NO_RAY) from None

LOOK_S = 2.0
"""Seconds between two looks at what is done."""


class ShardWorker:
    """An actor that takes shards until none is left, with one engine."""

    def __init__(self, url: str, plan: Plan, job: Job[Any, Any], facts: dict[str, frozenset[str]]) -> None:
        self._url, self._plan, self._job = url, plan, job
        know(facts)

    def run(self, name: str, number: int, n_workers: int) -> LastWord:
        """Work under a name."""
        folder = Folder(self._url)
        return last_word(
            lambda: work(folder, self._plan, self._job, Queue(folder, self._plan.keys, name, number, n_workers))
        )


def run_ray(
    folder: Folder, plan: Plan, job: Job[Any, Any], n_workers: int, advance: Callable[[int], None], n_gpus: float
) -> None:
    """Do all shards with `n_workers` actors, each with `n_gpus` GPUs. `advance` gets the number of further rows made.

    The cluster is that of RAY_ADDRESS, or else one of this machine. Raises EngineError if a worker fails, or if workers
    are lost again and again. What is done is kept.
    """
    if folder.path is not None and os.environ.get("RAY_ADDRESS"):
        say(f"{folder}: must be a disk that all nodes of the cluster share")
    if not ray.is_initialized():
        try:
            ray.init(include_dashboard=False, log_to_driver=True, logging_level="warning")
        except Exception as error:  # Ray raises many types, each because no cluster is there
            raise EngineError(f"Ray did not start, or is not at RAY_ADDRESS: {_why(error)}") from None
    # Not max_restarts: a lost actor's claim is given back first, so that nobody waits for it to grow old.
    actor = ray.remote(num_cpus=1, num_gpus=n_gpus, max_restarts=0, scheduling_strategy="SPREAD")(ShardWorker)
    sent = ray.put(plan), ray.put(job)
    waiting: dict[Any, tuple[Any, str, int]] = {}

    def start(number: int, life: int) -> None:
        name = f"ray-{worker_name()}-{number}-{life}"
        worker = actor.remote(folder.url, *sent, all_learned())
        waiting[worker.run.remote(name, number, n_workers)] = (worker, name, number)

    for number in range(n_workers):
        start(number, 0)
    rows_of = {shard.key: shard.n for shard in plan.shards}
    done = folder.names("done").keys() & rows_of
    n_lives = n_deaths = 0
    try:
        while waiting:
            ready, _ = ray.wait(list(waiting), timeout=LOOK_S)
            now_done = folder.names("done").keys() & rows_of
            advance(sum(rows_of[key] for key in now_done - done))
            n_deaths = 0 if now_done - done else n_deaths
            done = now_done
            if len(done) == len(rows_of):
                return  # though actors for which the cluster has no room may still wait for it
            for ref in ready:
                _, name, number = waiting.pop(ref)
                try:
                    ray.get(ref).obey()
                except ray.exceptions.RayActorError as error:
                    n_deaths, n_lives = n_deaths + 1, n_lives + 1
                    if n_deaths >= MOST_DEATHS * n_workers:
                        raise EngineError(f"{n_deaths} workers were lost one after another: {_why(error)}") from None
                    say(f"worker {number} was lost: {_why(error)}: another one goes on")
                    give_back(folder, name)
                    start(number, n_lives)
    finally:
        for worker, name, _ in waiting.values():
            ray.kill(worker)
            give_back(folder, name)


def _why(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
