"""What judging costs besides the model: rows a second and memory with an engine that answers at once, and how much of a
slow server's throughput is used.

python -m benchmarks.judge_overhead                    both tables; about 5 minutes
python -m benchmarks.judge_overhead --rows 20000 --calls 0

Each row of the first table is `judges.score` in a process of its own: read, template, parse, aggregate, append.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from console.table import Cell, print_table

DELAY_S = 0.2
CONCURRENCY = 64
REPLY = "The answer is relevant and covers most of the request, but leaves out the reason why.\n\nScore: 4"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--reads", nargs="+", default=["text", "logprobs"])
    parser.add_argument("--calls", type=int, default=6400, help="calls to the slow server; 0 leaves them out")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--child", nargs=3, metavar=("FILE", "READ", "OUT"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        _child(*args.child)
        return
    with tempfile.TemporaryDirectory() as folder:
        print_table([_instant(Path(folder), n, read, args.repeats) for read in args.reads for n in args.rows])
        if args.calls:
            print()
            print_table([_served(Path(folder), args.calls, repeat) for repeat in range(args.repeats)])


def write_responses(path: Path, n: int) -> Path:
    """Write `n` responses of about 900 characters, each its own."""
    text = "It depends on the pressure, since water boils when its vapour pressure equals that of the air. " * 8
    with path.open("w") as file:
        for number in range(n):
            prompt = f"Question {number}: at which temperature does water boil on a mountain, and why is that so?"
            row = {"id": f"r{number}", "prompt": prompt, "response": f"{number}. {text}", "model": f"m{number % 2}"}
            file.write(json.dumps(row) + "\n")
    return path


def _instant(folder: Path, n: int, read: str, repeats: int) -> dict[str, Cell]:
    source = write_responses(folder / f"{n}.jsonl", n)
    found = []
    for repeat in range(repeats):
        out = folder / f"{n}-{read}-{repeat}.jsonl"
        command = [sys.executable, "-m", "benchmarks.judge_overhead", "--child", str(source), read, str(out)]
        found.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        assert sum(1 for _ in out.open()) == n
        out.unlink()
    return {
        "read": read,
        "rows": n,
        "rows/s": round(median(n / one["seconds"] for one in found)),
        "slowest": round(min(n / one["seconds"] for one in found)),
        "peak MiB": round(max(one["peak_mib"] for one in found), 1),
    }


def _child(file: str, read: str, out: str) -> None:
    import contextlib
    import os

    import engines.options
    from console.command import parse
    from engines.protocol import Request
    from engines.scripted import ScriptedEngine
    from judges import score

    class Instant(ScriptedEngine):
        """Answers at once and remembers nothing."""

    def reply(_: Request) -> str:
        return REPLY

    engine = Instant(reply=reply, asked=_Nothing())
    engines.options.open_engine = lambda _: engine  # type: ignore[assignment]
    config = parse(score.Config, [file, "--read", read, "--samples", "1", "--out", out], "judges.score")
    started = time.perf_counter()
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        score.main(config)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak_mib": peak}))


class _Nothing(list):  # type: ignore[type-arg]
    def append(self, _: object) -> None:
        pass


def _served(folder: Path, n: int, repeat: int) -> dict[str, Cell]:
    raise NotImplementedError


if __name__ == "__main__":
    main()
