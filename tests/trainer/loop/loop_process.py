"""Runs loops in forked children and kills some of them; a process of its own, as tests.forks makes them.

python -m tests.trainer.loop.loop_process PLAN.json

The plan maps a folder to the loops that run in it one after the other, each {"argv", "kill"}. `kill` is null or
[what, count]: the child kills itself with SIGKILL at the count-th append (half of the line written), training step,
fsync (before an atomic file gets its name) or rename (before a model folder gets its name). The exit statuses go to
statuses.json in the folder.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from console.command import parse
from judges.rubrics.fences.near_misses import taken_apart
from judges.rubrics.rubric import load_rubric
from judges.tools.constraints.ifeval import checkers
from tests.kept import quick_pictures, short_configurations
from trainer.loop.__main__ import main as loop
from trainer.loop.plan.probe import this_machine
from trainer.loop.recipe import Config

AT_ONCE = 2


def main() -> None:
    plan: dict[str, list[dict[str, Any]]] = json.loads(Path(sys.argv[1]).read_text())
    _make_ready(plan)
    quick_pictures()
    short_configurations()
    under_way: set[int] = set()
    for folder, jobs in plan.items():
        if len(under_way) == AT_ONCE:
            under_way.discard(os.wait()[0])
        under_way.add(_forked(partial(_run_all, Path(folder), jobs)))
    for _ in under_way:
        os.wait()


def _make_ready(plan: dict[str, list[dict[str, Any]]]) -> None:
    """Let the loops begin with what each would make: of the machine, of the flags, of the rubrics."""
    this_machine()
    checkers()
    for folder, [job, *_] in plan.items():
        os.chdir(folder)
        config = parse(Config, job["argv"], "loop")
        for name in (config.judge.rubric, config.eval.rubric):
            taken_apart("<", load_rubric(name).tags)


def _forked(work: Callable[[], None]) -> int:
    child = os.fork()
    if child:
        return child
    os._exit(_status(work))


def _status(work: Callable[[], None]) -> int:
    try:
        work()
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


def _run_all(folder: Path, jobs: list[dict[str, Any]]) -> None:
    """Run the loops of a folder. Only one that kills itself needs a process of its own."""
    os.chdir(folder)
    statuses = []
    for job in jobs:
        run = partial(_run, job)
        statuses.append(os.waitpid(_forked(run), 0)[1] if job["kill"] else _status(run))
    (folder / "statuses.json").write_text(json.dumps(statuses))


def _run(job: dict[str, Any]) -> None:
    sys.stdout = Path("stdout.txt").open("w")  # noqa: SIM115  the child ends with it
    sys.stderr = Path("stderr.txt").open("w")  # noqa: SIM115
    if job["kill"]:
        _arm(*job["kill"])
    loop(parse(Config, job["argv"], "loop"))
    sys.stdout.flush()


def _arm(what: str, count: int) -> None:
    from transformers import Trainer

    from records.store import Store

    if what == "append":
        append = Store.append

        def torn(self: Store[Any], row: Any) -> None:
            line = msgspec.json.encode(row)
            self._file.write(line[: len(line) // 2])

        _kill_at(Store, "append", count, append, first=torn)
    elif what == "step":
        _kill_at(Trainer, "training_step", count, Trainer.training_step)
    elif what == "fsync":
        _kill_at(os, "fsync", count, os.fsync)
    elif what == "rename":
        _kill_at(Path, "rename", count, Path.rename)


def _kill_at(
    owner: Any, name: str, count: int, original: Callable[..., Any], first: Callable[..., Any] | None = None
) -> None:
    calls = 0

    def counting(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == count:
            if first:
                first(*args)
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **kwargs)

    setattr(owner, name, counting)


if __name__ == "__main__":
    main()
