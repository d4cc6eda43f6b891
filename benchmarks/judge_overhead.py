"""The overhead of judging besides the model: rows per second, memory, and the use made of a slow server.

python -m benchmarks.judge_overhead                    both tables, about 6 minutes
python -m benchmarks.judge_overhead --rows 20000 --calls 0

Each row of the first table is `judges.score` in a process of its own: read, template, parse, aggregate, append.
"""

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.slow_server import mean_delay_s, slow_server
from console.command import parse
from console.output import tell
from console.table import Cell, print_table
from engines.scripted import ScriptedEngine
from judges.score import scoring
from judges.score.__main__ import Config
from judges.score.__main__ import main as score

DELAY_S = 0.2
CONCURRENCY = 64
REPLY = "The answer is relevant and covers most of the request, but leaves out the reason why.\n\nScore: 4"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--reads", nargs="+", default=["text", "logprobs"])
    parser.add_argument("--calls", type=int, default=19200, help="calls to the slow server; 0 leaves them out")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--instant", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--served", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.instant:
        return _instant_child(*args.instant)
    if args.served:
        return _served_child(*args.served)
    with tempfile.TemporaryDirectory() as folder:
        print_table([_instant(Path(folder), n, read, args.repeats) for read in args.reads for n in args.rows])
        if args.calls:
            tell()
            print_table([_served(Path(folder), args.calls, repeat) for repeat in range(args.repeats)])


def write_responses(path: Path, n: int) -> Path:
    """Write `n` different responses of about 900 characters."""
    text = "It depends on the pressure, since water boils when its vapour pressure equals that of the air. " * 8
    with path.open("w") as file:
        for number in range(n):
            prompt = f"Question {number}: at which temperature does water boil on a mountain, and why is that so?"
            response = {
                "id": f"r{number}",
                "prompt": prompt,
                "response": f"{number}. {text}",
                "model": f"m{number % 2}",
            }
            file.write(json.dumps(response) + "\n")
    return path


def _instant(folder: Path, n: int, read: str, repeats: int) -> dict[str, Cell]:
    source = write_responses(folder / f"{n}.jsonl", n)
    runs = []
    for repeat in range(repeats):
        out = folder / f"{n}-{read}-{repeat}.jsonl"
        runs.append(_run("--instant", str(source), read, str(out)))
        assert sum(1 for _ in out.open()) == n
        out.unlink()
    return {
        "read": read,
        "rows": n,
        "rows/s": round(median(n / measured["seconds"] for measured in runs)),
        "slowest": round(min(n / measured["seconds"] for measured in runs)),
        "peak MiB": round(max(measured["peak_mib"] for measured in runs), 1),
    }


def _run(*arguments: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.judge_overhead", *arguments]
    measured: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return measured


def _timed(*arguments: str) -> None:
    """Run `judges.score` and print its seconds and the process's peak memory."""
    config = parse(Config, list(arguments), "judges.score")
    started = time.perf_counter()
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        score(config)
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def _instant_child(file: str, read: str, out: str) -> None:
    engine = ScriptedEngine(reply=lambda _: REPLY, asked=_Nothing())
    scoring.open_engine = lambda _: engine
    _timed(file, "--read", read, "--samples", "1", "--out", out)


def _served_child(file: str, url: str, out: str) -> None:
    _timed(
        file, "--read", "text", "--samples", "1", "--out", out,
        "--model", "slow", "--base-url", url, "--concurrency", str(CONCURRENCY),
    )  # fmt: skip


class _Nothing(list):  # type: ignore[type-arg]
    """A list that keeps none of the scripted engine's requests."""

    def append(self, _: object) -> None:
        pass


def _served(folder: Path, n: int, repeat: int) -> dict[str, Cell]:
    """Return the share of the throughput that a server with DELAY_S per call allows."""
    source = write_responses(folder / f"served-{n}.jsonl", n)
    out = folder / f"served-{repeat}.jsonl"
    with slow_server(REPLY, DELAY_S) as url:
        measured = _run("--served", str(source), url, str(out))
        server_ms = 1000 * mean_delay_s(url)
    assert sum(1 for _ in out.open()) == n
    ideal_s = n * DELAY_S / CONCURRENCY
    share = 100 * ideal_s / measured["seconds"]
    return {"calls": n, "seconds": measured["seconds"], "ideal": ideal_s, "% of ideal": share, "server, ms": server_ms}


if __name__ == "__main__":
    main()
