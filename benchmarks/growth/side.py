"""One command in a process of its own: prints its processor seconds and its memory as JSON.

python benchmarks/growth/side.py compare pairs.jsonl OUT      started by python -m benchmarks.growth

It is a script, so that PYTHONPATH chooses the revision that it measures. Engines are scripted: there is no model.
"""

import contextlib
import importlib
import json
import os
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.side import arguments

Run = Callable[[], object]


def loaded(module: str, name: str) -> Any:
    """Return something of the revision that is measured, which is not imported before Python itself is measured."""
    return getattr(importlib.import_module(module), name)


def scripted() -> Any:
    """Return an engine that prefers choices by the request's seed, and keeps no request."""

    class Forgotten(list):  # type: ignore[type-arg]
        def append(self, _: object) -> None:
            pass

    def logprobs(request: Any, choices: Sequence[str]) -> list[float]:
        best = (request.seed or 0) % len(choices)
        return [-0.1 if place == best else -3.0 - place for place in range(len(choices))]

    return loaded("engines.scripted", "ScriptedEngine")(logprobs=logprobs, asked=Forgotten())


def command(module: str, work: str, name: str, *arguments: str) -> Run:
    """Return a command with its modules loaded. `module` opens its engine, and `work` has the function `name`."""
    main = importlib.import_module(f"{module}.__main__")
    if hasattr(worker := importlib.import_module(work), "open_engine"):
        worker.open_engine = lambda _: scripted()  # type: ignore[attr-defined]
    config = loaded("console.command", "parse")(main.Config, list(arguments), module)
    return lambda: getattr(worker, name)(config)


def reader(file: str) -> Run:
    """Return the reading of all responses of a file."""
    bad, read_responses = loaded("records.files", "BadRows")(), loaded("records.shapes", "read_responses")
    if file.endswith(".parquet"):
        importlib.import_module("pyarrow.parquet")
    return lambda: sum(1 for _ in read_responses(file, bad))


def opened(what: str, file: str, out: str) -> Run:
    """Return what is measured."""
    to = ("--out", out)
    match what:
        case "read":
            return reader(file)
        case "score":
            return command("judges.score", "judges.score.scoring", "score", file, *to)
        case "compare":
            return command("judges.compare", "judges.compare.comparing", "compare", file, *to)
        case "compare two files":
            two = (file, file.replace("responses", "others"))
            return command("judges.compare", "judges.compare.comparing", "compare", *two, *to)
        case "pairs" | "pairs, apart":
            return command("trainer.pairs", "trainer.pairs.pair_file", "make_pair_file", file, *to)
        case "best_of" | "best_of, apart":
            return command("judges.best_of", "judges.best_of.choosing", "keep_best", file, *to)
        case "tui":
            open_files = loaded("tui.reading.table", "open_files")
            return lambda: open_files(Path(file))
        case _:
            equivalence = ("--equivalence", "final_answer" if "final" in what else "exact")
            return command("judges.cluster", "judges.cluster.clustering", "cluster_file", file, *equivalence, *to)


def peak_mib() -> float:
    # Not resource's ru_maxrss, which a process inherits from the one that started it.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    what, file, out = arguments(__doc__, "WHAT", "FILE", "OUT")
    bare = peak_mib()
    run = opened(what, file, out)
    with_modules, before, started = peak_mib(), cpu_s(), time.perf_counter()
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        run()
    measured = {
        "bare": bare,
        "loaded": with_modules,
        "peak": peak_mib(),
        "cpu_s": cpu_s() - before,
        "wall_s": time.perf_counter() - started,
    }
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
