"""One runner's gradings for `benchmarks.judge_throughput`, in a process and an environment of its own.

python benchmarks/judge_throughput/side.py RUNNER ROWS URL IN_FLIGHT MEASURED

RUNNER is a module of `sides`. ROWS is a JSONL file of answers. Seconds and memory are written to the file MEASURED, of
the runner's work alone: a few gradings come first, so that all code is loaded. With `-` for MEASURED it grades only.
"""

import importlib
import json
import re
import resource
import time
from pathlib import Path
from typing import Any

from benchmarks.side import arguments

N_FIRST = 16
Row = dict[str, str]


def main() -> None:
    runner, file, url, in_flight, measured = arguments(__doc__, "RUNNER", "ROWS", "URL", "IN_FLIGHT", "MEASURED")
    side = importlib.import_module(f"benchmarks.judge_throughput.sides.{runner}")
    rows = [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines()]
    if measured == "-":
        side.judge(rows, url, int(in_flight), Path("out"))
        return
    side.judge(rows[:N_FIRST], url, int(in_flight), Path("first"))
    Path(measured).write_text(json.dumps(measure(side, rows, url, int(in_flight))), encoding="utf-8")


def measure(side: Any, rows: list[Row], url: str, in_flight: int) -> dict[str, float]:
    """Return the verdicts and what they took. The processor time has that of processes that the runner started."""
    started, used = time.perf_counter(), _processor_s()
    n_verdicts = side.judge(rows, url, in_flight, Path("out"))
    seconds, processor_s = time.perf_counter() - started, _processor_s() - used
    return {"verdicts": n_verdicts, "wall_s": seconds, "processor_s": processor_s, "peak_mib": _peak_mib()}


def _processor_s() -> float:
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(sum(resource.getrusage(who)[:2]) for who in whose)


def _peak_mib() -> float:
    # not ru_maxrss, which a process has from the one that started it
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


if __name__ == "__main__":
    main()
