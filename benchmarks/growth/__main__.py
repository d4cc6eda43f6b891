"""Time and memory of commands over the number of rows, each in a process of its own. No model is asked.

python -m benchmarks.growth                                      1,000 to 100,000 rows, some minutes
python -m benchmarks.growth --rows 1000000 --what compare        a command at a million rows
python -m benchmarks.growth --against ../old                     beside another revision, in turns
python -m benchmarks.growth --answers 4 16 64 256                clusters over the answers to a prompt

A row is an answer of about 500 characters, or a pair of two. Time is processor seconds (user and system) from the
command's start to its end, without the loading of modules. `added` is the peak of the resident memory above that of
Python itself before it has imported anything, so it holds the modules too. `loaded` is what the modules alone hold.
`apart` says that the answers to a prompt do not stand together. The best outcome is the same microseconds a row and the
same memory in each line. Files and outputs are about 1 KB a row, in the folder for temporary files.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.growth import files
from console.output import say
from console.table import Cell, print_table

SIDE = Path(__file__).with_name("side.py")
HERE = Path(__file__).parent.parent.parent
READ = (".jsonl", ".jsonl.gz", ".json", ".csv", ".parquet")
COMMANDS = (
    "score", "compare", "compare two files", "pairs", "pairs, apart", "cluster exact", "cluster exact, apart",
    "best_of", "best_of, apart", "tui",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--what", nargs="+")
    parser.add_argument("--answers", type=int, nargs="+", help="answers to a prompt, for clusters of --rows rows")
    parser.add_argument("--against", type=Path, help="the folder of another revision")
    args = parser.parse_args()
    usual = (
        ["cluster exact", "cluster final answer"] if args.answers else [*(f"read {kind}" for kind in READ), *COMMANDS]
    )
    table: list[dict[str, Cell]] = []
    with tempfile.TemporaryDirectory() as folder:
        for what in args.what or usual:
            for n in args.rows:
                for per_prompt in args.answers or [4]:
                    line: dict[str, Cell] = {"what": what, "rows": n}
                    line |= {"answers": per_prompt} if args.answers else {}
                    table.append(line | measured(what, n, written(Path(folder), what, n, per_prompt), args.against))
                    say(str(table[-1]))
    print_table(table)


def written(folder: Path, what: str, n: int, per_prompt: int) -> Path:
    """Write the file that a command reads, unless it is the last one written."""
    apart = what.endswith("apart")
    match what.split()[0].rstrip(","):
        case "read":
            name, rows = f"{n}{what.split()[1]}", files.responses(n)
        case "compare" if "two" in what:
            files.write(folder / f"{n}-others.jsonl", files.others(n))
            name, rows = f"{n}-responses.jsonl", files.responses(n)
        case "compare":
            name, rows = f"{n}-contests.jsonl", files.contests(n)
        case "tui":
            name, rows = f"{n}-preferences.jsonl", files.preferences(n)
        case "pairs" | "best_of":
            name, rows = f"{n}-{apart}-judgments.jsonl", files.judgments(n, apart=apart)
        case _:
            name, rows = f"{n}-{per_prompt}-{apart}.jsonl", files.responses(n, per_prompt, apart=apart)
    keep = {name, f"{n}-others.jsonl"}
    for path in folder.iterdir():  # a million rows are half a gigabyte
        if path.name not in keep:
            path.unlink()
    path = folder / name
    return path if path.exists() else files.write(path, rows)


def measured(what: str, n: int, file: Path, against: Path | None) -> dict[str, Cell]:
    """Measure a command of this revision, and before it of the other one."""
    line: dict[str, Cell] = {}
    for side, tree in (("old ", against), ("", HERE)):
        if tree is None:
            continue
        got = run(what, file, tree)
        line |= {
            f"{side}s": got["cpu_s"],
            f"{side}us a row": round(1e6 * got["cpu_s"] / n, 1),
            f"{side}loaded, MiB": round(got["loaded"] - got["bare"]),
            f"{side}added, MiB": round(got["peak"] - got["bare"]),
        }
    return line


def run(what: str, file: Path, tree: Path) -> dict[str, float]:
    """Run a command of the revision in `tree` and return what its process measured."""
    out = file.parent / "out.jsonl"
    environment = {**os.environ, "PYTHONPATH": str(tree.resolve()), "PYTHONHASHSEED": "0"}
    side = [sys.executable, str(SIDE), what.split()[0] if what.startswith("read") else what, str(file), str(out)]
    done = subprocess.run(side, cwd=file.parent, env=environment, capture_output=True, text=True, check=False)
    for path in file.parent.glob("out.*"):
        path.unlink()
    if done.returncode:
        raise SystemExit(f"{what}: {done.stderr[-2000:]}")
    got: dict[str, float] = json.loads(done.stdout)
    return got


if __name__ == "__main__":
    main()
