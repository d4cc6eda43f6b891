"""Calls to a server that answers after 0.2 s: this project's client, its last one without the SDK, the SDK as it comes.

python -m benchmarks.served_calls                  1,000 calls, 64 in flight, 5 times each, about 3 minutes
python -m benchmarks.served_calls --old ""         without the old client, which needs the repository's history

Expected before the first run, from a machine that does nothing else: 0.27 processor seconds for the old client, about
0.5 for this one, 1.8 for the SDK as it comes and 1.2 with its aiohttp client. Of a client's processor time more than a
half is the SDK's own options, headers and retries, which no HTTP client below it can spare.

The clients take turns, each in a process of its own with its own server, so that a busy machine is busy for all.
"""

import json
import os
import subprocess
import sys
import tempfile
from math import ceil
from pathlib import Path
from statistics import median

import tyro

from benchmarks.slow_server import slow_server
from console.table import Cell, print_table

ROOT = Path(__file__).parent.parent.parent
OLD = "418a10a"
"""The last commit with the hand-written client."""
WAYS = {"this project": "engine", "old client": "engine", "openai SDK": "sdk", "openai SDK, aiohttp": "sdk-aiohttp"}


def main(calls: int = 1000, in_flight: int = 64, repeats: int = 5, delay_s: float = 0.2, old: str = OLD) -> None:
    """Print the table."""
    names = [name for name in WAYS if old or name != "old client"]
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        if old:
            archive = subprocess.run(["git", "archive", old], cwd=ROOT, capture_output=True, check=True).stdout
            subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
        for _ in range(repeats):
            for name in names:
                tree = Path(folder) if name == "old client" else ROOT
                with slow_server("The answer does what was asked. Score: 4", delay_s) as url:
                    runs[name].append(_run(tree, WAYS[name], url, str(calls), str(in_flight)))
    ideal_s = ceil(calls / in_flight) * delay_s
    print_table([_row(name, found, ideal_s, runs["this project"]) for name, found in runs.items()])


def _run(tree: Path, *arguments: str) -> dict[str, float]:
    command = [sys.executable, str(ROOT / "benchmarks" / "served_calls" / "side.py"), *arguments]
    environment = os.environ | {"PYTHONPATH": str(tree)}
    found = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=True).stdout
    measured: dict[str, float] = json.loads(found)
    return measured


def _row(name: str, runs: list[dict[str, float]], ideal_s: float, ours: list[dict[str, float]]) -> dict[str, Cell]:
    processor_s = [run["processor_s"] for run in runs]
    return {
        "client": name,
        "answered": int(min(run["answered"] for run in runs)),
        "processor s": round(median(processor_s), 2),
        "least": round(min(processor_s), 2),
        "/ this project": round(median(a / b["processor_s"] for a, b in zip(processor_s, ours, strict=True)), 2),
        "wall s": round(median(run["seconds"] for run in runs), 2),
        "% of ideal": round(100 * ideal_s / median(run["seconds"] for run in runs), 1),
    }


if __name__ == "__main__":
    tyro.cli(main, prog="python -m benchmarks.served_calls")
