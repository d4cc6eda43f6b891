"""Seconds, memory and bytes of a report on a run with many judgments.

python -m benchmarks.report                      a run with 100,000 judgments
python -m benchmarks.report 1000 100000 1000000

Each line is `python -m evals.report` in a process of its own, from its start to its end, the median of three. The
judgments have answers of about 500 characters, half of them in each of two iterations, and a pair for each four.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from statistics import median

from benchmarks.growth.files import Rows, judgments, write
from console.table import Cell, print_table

ROOT = Path(__file__).parent.parent
REPEATS, PER_PAIR = 3, 4
USUAL = ["100000"]


def main() -> None:
    if {"-h", "--help"} & set(sys.argv):
        print((__doc__ or "").strip())
        return
    print_table([row_of(int(n)) for n in sys.argv[1:] or USUAL])


def row_of(n: int) -> dict[str, Cell]:
    with tempfile.TemporaryDirectory() as name:
        run = make_run(Path(name) / "runs" / "large", n)
        taken = [measured(Path(name)) for _ in range(REPEATS)]
        return {
            "judgments": n,
            "wall s": round(median(wall for wall, _ in taken), 2),
            "processor s": round(median(used for _, used in taken), 2),
            "peak MiB": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024,
            "page, KiB": (run / "report" / "report.html").stat().st_size // 1024,
        }


def make_run(run: Path, n: int) -> Path:
    """Write the files that a report reads, and return the folder."""
    rows = judgments(n)
    for number in (2, 3):
        folder = run / f"iter{number}"
        folder.mkdir(parents=True)
        write(folder / "judgments.jsonl", islice(rows, n // 2))
        pairs = ({**pair, "prompt_id": str(place)} for place, pair in enumerate(made_pairs(n // 2 // PER_PAIR)))
        write(folder / "pairs.jsonl", pairs)
        (folder / "metrics.json").write_text(f'{{"iteration": {number}, "mean_score": 2.5, "mean_chars": 500}}')
    (run / "run.toml").write_text("[settings]\niterations = 3\n")
    (run / "ledger.jsonl").write_text("".join(f'{{"id": "iter{number}"}}\n' for number in (1, 2, 3)))
    return run


def made_pairs(n: int) -> Rows:
    rows = judgments(2 * n)
    for number, (better, worse) in enumerate(zip(rows, rows, strict=True)):
        yield {
            "prompt": [{"role": "user", "content": better["prompt"]}],
            "chosen": [{"role": "assistant", "content": better["response"]}],
            "rejected": [{"role": "assistant", "content": worse["response"]}],
            "margin": 0.25 + number % 7 / 8,
        }


def measured(folder: Path) -> tuple[float, float]:
    """Return the wall and the processor seconds of one report."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "evals.report", "large"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - started, used


if __name__ == "__main__":
    main()
