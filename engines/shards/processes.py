"""Workers as processes of this machine. One that is killed is replaced, and its shard goes on at its last row."""

import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from console.again import all_learned, know
from console.errors import EngineError, InputError
from console.progress import say
from engines.shards.claims import Queue
from engines.shards.folder import Folder
from engines.shards.plan import Plan, worker_name
from engines.shards.work import Job, LastWord, last_word, work

VISIBLE = "CUDA_VISIBLE_DEVICES"
DEVICES, DEVICE = Path("/dev"), "nvidia[0-9]*"
TELL_S = 0.2
GRACE_S = 60.0
"""Seconds that workers get to store what is answered after an interruption."""
MOST_DEATHS = 3
"""Deaths of each worker, on average, without a finished shard in between, after which the command ends."""


def run_processes(
    folder: Folder,
    plan: Plan,
    job: Job[Any, Any],
    n_workers: int,
    advance: Callable[[int], None],
    place: tuple[int, int] = (0, 1),
    n_gpus: float = 0.0,
) -> None:
    """Do all shards with `n_workers` processes. `advance` gets the number of further rows made.

    `place` is this machine's number among the machines, and their number. With `n_gpus` each worker sees so many GPUs
    of its own, or several share one. Raises InputError if there are too few.

    Raises EngineError if a worker fails, or if workers are killed again and again. What is done is kept.
    """
    team = _Team(folder, plan, job, n_workers, place, gpus_of_workers(n_workers, n_gpus))
    try:
        team.run(advance)
    finally:
        team.end()


def gpus_of_workers(n_workers: int, n_gpus: float) -> list[str | None]:
    """Return the value of CUDA_VISIBLE_DEVICES for each worker, or None for no change.

    Raises InputError if there are fewer GPUs than the workers need.
    """
    if not n_gpus:
        return [None] * n_workers
    if n_gpus > 1 and n_gpus != int(n_gpus):
        raise InputError(f"--gpus-per-worker must be a whole number, or under 1 to share a GPU, not {n_gpus:g}")
    given = os.environ.get(VISIBLE)
    names = given.split(",") if given else [path.name.removeprefix("nvidia") for path in sorted(DEVICES.glob(DEVICE))]
    several = max(1, int(n_gpus))
    firsts = [int(number * n_gpus + 1e-9) for number in range(n_workers)]
    if firsts[-1] + several > len(names):
        raise InputError(
            f"{n_workers} workers with {n_gpus:g} GPUs each need {firsts[-1] + several}, and {len(names)} are here"
        )
    return [",".join(names[first : first + several]) for first in firsts]


class _Team:
    def __init__(
        self,
        folder: Folder,
        plan: Plan,
        job: Job[Any, Any],
        n_workers: int,
        place: tuple[int, int],
        gpus: list[str | None],
    ) -> None:
        self._folder, self._plan, self._job, self._n = folder, plan, job, n_workers
        self._place, self._gpus = place, gpus
        self._context = get_context("spawn")  # a fork would copy the threads' locks and a GPU's state
        self._pipes: dict[Connection, tuple[BaseProcess, int]] = {}
        self._n_deaths = 0
        for number in range(n_workers):
            self._start(number)

    def _start(self, number: int) -> None:
        here, there = self._context.Pipe()
        machine, n_machines = self._place
        seat = (machine * self._n + number, n_machines * self._n)
        arguments = (there, self._folder.url, self._plan, self._job, seat, all_learned(), self._gpus[number])
        process = self._context.Process(target=_worker, args=arguments, name=f"worker {number}")
        process.start()
        there.close()  # the worker's own is then the only one, and its end is the end of the worker
        self._pipes[here] = (process, number)

    def run(self, advance: Callable[[int], None]) -> None:
        queue = Queue(self._folder, self._plan.keys, worker_name())
        n_open = queue.n_open()
        while self._pipes:
            for pipe in wait(list(self._pipes)):
                assert isinstance(pipe, Connection)
                message = _received(pipe)
                if message is not None:
                    if isinstance(message, LastWord):
                        message.obey()
                    else:
                        advance(message)
                    continue
                process, number = self._pipes.pop(pipe)
                pipe.close()
                process.join()
                if process.exitcode == 0:
                    continue
                n_open, before = queue.n_open(), n_open
                self._n_deaths = self._n_deaths + 1 if n_open == before else 1
                how = _how(process.exitcode)
                if self._n_deaths >= MOST_DEATHS * self._n:
                    raise EngineError(
                        f"{self._n_deaths} workers ended one after another, the last {how}: is there memory for "
                        f"{self._n} of them? give fewer --workers; what is done is kept"
                    )
                if n_open:
                    say(f"worker {number} ended, {how}: another one goes on")
                    self._start(number)

    def end(self) -> None:
        """End the workers that live, and give them time to store what is answered."""
        for process, _ in self._pipes.values():
            process.terminate()
        until = time.monotonic() + GRACE_S
        for process, _ in self._pipes.values():
            process.join(max(0.0, until - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()


def _received(pipe: Connection) -> LastWord | int | None:
    try:
        return pipe.recv()  # type: ignore[no-any-return]
    except (EOFError, OSError):
        return None


def _how(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"killed by {signal.Signals(-exit_code).name}"
    return f"with exit code {exit_code}"


def _worker(
    pipe: Connection,
    url: str,
    plan: Plan,
    job: Job[Any, Any],
    seat: tuple[int, int],
    facts: dict[str, frozenset[str]],
    gpus: str | None,
) -> None:
    """Work as one process of several."""
    if gpus is not None:
        os.environ[VISIBLE] = gpus  # before anything loads CUDA
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to all, and the command ends its workers
    signal.signal(signal.SIGTERM, _interrupt)
    threading.Thread(target=_end_with, args=(pipe,), name="command", daemon=True).start()
    know(facts)
    tell = _Teller(pipe)
    folder = Folder(url)
    try:
        queue = Queue(folder, plan.keys, worker_name(), *seat)
        word = last_word(lambda: work(folder, plan, job, queue, tick=tell.tick))
        tell.flush()
        pipe.send(word)
    except KeyboardInterrupt:
        os._exit(0)  # nothing of the interpreter's own end may wait for a call that is under way


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _end_with(pipe: Connection) -> None:
    """End this process once its command is gone, which sends nothing."""
    _received(pipe)
    os._exit(1)


class _Teller:
    """Tells the command how many rows are made, a few times a second."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._n, self._told_s = pipe, 0, time.monotonic()

    def tick(self) -> None:
        """Count a row."""
        self._n += 1
        if time.monotonic() - self._told_s >= TELL_S:
            self.flush()

    def flush(self) -> None:
        """Tell the count."""
        self._pipe.send(self._n)
        self._n, self._told_s = 0, time.monotonic()
