"""The terminal UI on many rows, by keys as a person presses them: seconds until the screen shows what was asked.

python -m benchmarks.tui                          1,000,000 judgments of about 400 bytes, in a temporary folder
python -m benchmarks.tui --rows 100000 --chars 1500
python -m benchmarks.tui --peers FOLDER           also VisiData, textual-fastdatatable and less. Install the first two
                                                  there: pip install --no-deps --target FOLDER visidata
                                                  textual-fastdatatable python-dateutil six

Each program runs in a terminal of its own of 120 x 40 cells. A time is by the clock, and in brackets that of the
processor, which other programs on the machine do not lengthen. "first rows" is the time from the start of the process,
"again" the same the second time, when an index exists. A key is the arrow down, twenty times. Memory is what the
process has at the end (RSS), and of it what is its own and not a mapped file.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.tui.terminal import NotShownError, Taken, Terminal
from console.progress import say
from console.table import Cell, print_table

ROOT = Path(__file__).parents[2]
RARE = "zebra"
N_KEYS = 20
STEPS = (
    "first rows", "all rows", "again", "key, median", "key, longest", "last row", "filter", "sort", "first hit",
    "all hits",
)  # fmt: skip
WORDS = (
    "answer",
    "short",
    "because",
    "judge",
    "likes",
    "that",
    "way",
    "nobody",
    "asked",
    "more",
    "reason",
    "here",
)


def made(path: Path, n: int, chars: int, seed: int = 0) -> dict[str, int]:
    """Write `n` judgments with about `chars` bytes each, and return how many pass the benchmark's filter and search."""
    draw = random.Random(seed)
    counts = {"filter": 0, "search": 0}
    with path.open("w", encoding="utf-8") as file:
        for number in range(n):
            score = round(draw.uniform(0, 5), 2)
            is_rare = draw.random() < 0.01
            text = " ".join(draw.choices(WORDS, k=max(1, (chars - 270) // 5)))
            judgment = {
                "id": f"{number:016x}", "response_id": f"r{number}", "prompt_id": f"p{number // 4}",
                "prompt": f"prompt {number:07}", "response": f"{text} {RARE}" if is_rare else text, "model": "m",
                "score": score, "scores": [score], "replies": [f"Score: {score}"], "error": None, "spread": 0.1,
                "rubric": "additive", "judge": "f00d", "usage": {"n_calls": 1},
            }  # fmt: skip
            file.write(json.dumps(judgment) + "\n")
            counts["filter"] += score > 4.5
            counts["search"] += is_rare
    return counts


def ours(path: Path, n: int, counts: dict[str, int]) -> dict[str, Cell]:
    """Measure this project's screen."""
    command = [sys.executable, "-m", "tui", str(path)]
    whole = f"{n:,} shown(?! │ (reading|searching))"
    with Terminal(command, ROOT) as first:
        times: dict[str, object] = {
            "first rows": first.until("prompt 0000000"),
            "all rows": first.until(whole),
        }
    with Terminal(command, ROOT) as again:
        times["again"] = again.until("prompt 0000000")
        again.until(whole)
        keys = [again.key("j", f"judgment {place + 2:,} of") for place in range(N_KEYS)]
        times["last row"] = again.key("G", f"judgment {n:,} of {n:,}")
        times["filter"] = again.key("/score>4.5\r", f"{counts['filter']:,} shown")
        again.key("\x1b", whole)
        again.key("l", "›a")
        times["sort"] = again.key("s", "▲›a")
        times["first hit"] = again.key(f"/{RARE}\r", r"[1-9][\d,]* shown")
        times["all hits"] = again.until(f"{counts['search']:,} shown(?! │ searching)")
        return _row("python -m tui", times, keys, again.memory())


def fastdatatable(path: Path, n: int, peers: Path) -> dict[str, Cell]:
    """Measure textual-fastdatatable over an Arrow table of the file."""
    command = [sys.executable, "-m", "benchmarks.tui.fast", str(path)]
    with Terminal(command, ROOT, {"PYTHONPATH": f"{ROOT}:{peers}"}) as screen:
        first = screen.until("prompt 0000000")
        keys = [screen.key("\x1b[B", f"prompt {place + 1:07}") for place in range(N_KEYS)]
        times: dict[str, object] = {
            "first rows": first,
            "all rows": first,
            "sort": screen.key("s", "prompt 0"),
        }
        return _row("textual-fastdatatable", times, keys, screen.memory())


def visidata(path: Path, n: int, peers: Path) -> dict[str, Cell]:
    """Measure VisiData, which shows rows as it reads them. It has read all once it is idle."""
    command = [sys.executable, "-m", "visidata", "-f", "jsonl", str(path)]
    with Terminal(command, ROOT, {"PYTHONPATH": str(peers), "HOME": str(path.parent)}) as screen:
        times: dict[str, object] = {
            "first rows": screen.until("prompt 0000000"),
            "all rows": screen.idle(),
        }
        return _row("VisiData", times, [], screen.memory())


def less(path: Path, n: int, peers: Path) -> dict[str, Cell]:
    """Measure less, which shows lines and knows no rows."""
    with Terminal(["less", "-S", str(path)], ROOT) as screen:
        times: dict[str, object] = {"first rows": screen.until("prompt 0000000")}
        times["last row"] = screen.key("G", f"prompt {n - 1:07}")
        screen.key("g", "prompt 0000000")
        times["first hit"] = screen.key(f"/{RARE}\r", RARE)
        return _row("less -S", times, [], screen.memory())


def _row(what: str, times: dict[str, object], keys: list[Taken], memory: tuple[int, int]) -> dict[str, Cell]:
    if keys:
        middle = sorted(keys, key=lambda taken: taken.wall_s)[len(keys) // 2]
        times |= {
            "key, median": middle,
            "key, longest": max(keys, key=lambda taken: taken.wall_s),
        }
    cells: dict[str, Cell] = {"what": what}
    cells |= {f"{name}, s": str(times[name]) if name in times else "-" for name in STEPS}
    return cells | {"RSS, MB": memory[0], "own, MB": memory[1]}


PEERS: tuple[Callable[[Path, int, Path], dict[str, Cell]], ...] = (
    fastdatatable,
    visidata,
    less,
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--chars", type=int, default=400, help="bytes of a row, about")
    parser.add_argument("--peers", type=Path, help="a folder in which the peers are installed")
    parser.add_argument(
        "--folder",
        type=Path,
        help="where to put the file; the default is a temporary folder",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    config = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=config.folder) as folder:
        path = Path(folder) / "judgments.jsonl"
        say(f"writing {config.rows:,} rows")
        counts = made(path, config.rows, config.chars)
        say(f"{path.stat().st_size / 1e6:,.0f} MB; now the screen")
        rows = [ours(path, config.rows, counts)]
        say(" ".join(map(str, rows[0].values())))
        for peer in PEERS if config.peers else ():
            if peer is less and shutil.which("less") is None:
                continue
            say(f"now {peer.__name__}")
            try:
                rows.append(peer(path, config.rows, config.peers.resolve()))
            except NotShownError as error:
                say(f"{peer.__name__}: {error}")
    print_table(rows, as_json=config.json)


if __name__ == "__main__":
    main()
