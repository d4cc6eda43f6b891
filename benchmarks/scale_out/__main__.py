"""Two workers against one, and what a kill costs: local processes, Ray, and Ray Data with its own checkpoints.

python -m benchmarks.scale_out                          about 20 minutes
python -m benchmarks.scale_out --venv runs/ray          the environment with Ray, made if it is not there

Each call of the engine takes a fixed time, and nothing else is computed, so twice as fast is the limit on any machine.
In the second table a worker, then the command, then every process of the node is killed, each time with SIGKILL, and
the same command is started again.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
import tyro

from benchmarks.scale_out.work import calls
from console.table import Cell, print_table
from records.leftovers import process_lives

ROOT = Path(__file__).parent.parent.parent
RAY = "ray[data]==2.60.0"
Side = Literal["processes", "ray", "ray_data"]
NAMES = {
    "processes": "this project, processes",
    "ray": "this project, Ray",
    "ray_data": "Ray Data, CheckpointConfig",
}


@dataclass(frozen=True)
class Options:
    """Sizes of the runs."""

    rows: int = 1200
    call_s: float = 0.1
    shard_rows: int = 100
    sides: tuple[Side, ...] = ("processes", "ray", "ray_data")
    venv: Path = Path("runs/ray-venv")
    """An environment with Ray, which takes this project's other packages from the environment of this command."""
    seed: int = 0
    """Draws which worker is killed."""
    limit_s: float = 900.0
    """The longest time of one run."""


def main(options: Options) -> None:
    """Run all sides and print both tables."""
    ray_python = with_ray(options.venv) if {"ray", "ray_data"} & set(options.sides) else Path(sys.executable)
    speed: list[dict[str, Cell]] = []
    kills: list[dict[str, Cell]] = []
    with tempfile.TemporaryDirectory(dir=options.venv.parent) as scratch:
        for side in options.sides:
            python = Path(sys.executable) if side == "processes" else ray_python
            run = Run(side, python, options)
            one, two = (run.whole(Path(scratch) / f"{side}-{n}", n) for n in (1, 2))
            speed.append(
                {
                    "side": NAMES[side],
                    "1 worker, s": one.seconds,
                    "2 workers, s": two.seconds,
                    "1 worker, rows/s": one.rate,
                    "2 workers, rows/s": two.rate,
                    "ratio": two.rate / one.rate,
                    "of the limit, %": 100 * two.rate * options.call_s / 2,
                }
            )
            print(speed[-1], file=sys.stderr, flush=True)
            kills.append(
                {"side": NAMES[side], **run.killed(Path(scratch) / f"{side}-killed", Path(scratch) / f"{side}-2")}
            )
            print(kills[-1], file=sys.stderr, flush=True)
    print_table(speed)
    print()
    print_table(kills)


def with_ray(venv: Path) -> Path:
    """Return the Python of an environment with Ray, and make it if it is not there."""
    python = venv.absolute() / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", RAY], check=True)
    own = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    place = next((venv / "lib").glob("python3*/site-packages"))
    (place / "zz_judgeloop.pth").write_text(f"{own}\n")  # after its own packages, which are those that Ray asks for
    return python


@dataclass(frozen=True)
class Speed:
    """The speed of a run."""

    seconds: float
    """From the first call to the end of the last. The second worker may begin later, if the machine is busy."""
    rate: float
    """Rows a second while all workers work."""


@dataclass(frozen=True)
class Run:
    """Runs of one side."""

    side: Side
    python: Path
    options: Options

    def start(self, folder: Path, n_workers: int) -> "subprocess.Popen[bytes]":
        """Start the side, or let it go on."""
        folder.mkdir(parents=True, exist_ok=True)
        numbers = (self.options.rows, self.options.call_s, self.options.shard_rows, n_workers)
        module = "ray_data" if self.side == "ray_data" else "side"
        program = f"from benchmarks.scale_out.{module} import main; main()"
        command = [str(self.python), "-c", program, self.side, str(folder), *map(str, numbers)]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "disabled"}
        with (folder / "log").open("ab") as log:
            return subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log)

    def whole(self, folder: Path, n_workers: int) -> "Speed":
        """Return how fast a run was that nothing interrupts."""
        self.finish(self.start(folder, n_workers), folder)
        made = calls(folder)
        times = [at for at, _ in made]
        by_worker = [[at for at, process in made if process == worker] for worker in {process for _, process in made}]
        since, until = max(map(min, by_worker)), min(map(max, by_worker))
        n = sum(since <= at < until for at in times)
        return Speed(max(times) - min(times) + self.options.call_s, n / (until - since))

    def finish(self, command: "subprocess.Popen[bytes]", folder: Path) -> None:
        """Wait for the end. A run that fails or takes too long ends the benchmark with its log."""
        try:
            if command.wait(self.options.limit_s) == 0:
                return
        except subprocess.TimeoutExpired:
            _kill_all(command)
        raise SystemExit(f"{self.side} failed:\n{(folder / 'log').read_text()[-3000:]}")

    def killed(self, folder: Path, whole: Path) -> dict[str, Cell]:
        """Kill a worker, the command and the node, and return what that cost."""
        draw = random.Random(self.options.seed)
        n_starts = 1
        command = self.start(folder, 2)
        kills: list[tuple[float, Callable[[], None]]] = [
            (0.2, lambda: os.kill(draw.choice(_workers(folder)), signal.SIGKILL)),
            (0.45, lambda: command.kill()),
            (0.7, lambda: _kill_all(command)),
        ]
        for share, kill in kills:
            if command.poll() is not None or not self._reached(share, folder, command):
                command = self._again(command, folder)
                n_starts += 1
                self._reached(share, folder, command)
            kill()
        command = self._again(command, folder)
        self.finish(command, folder)
        n_rows = self.options.rows
        rows, known = _rows(self.side, folder), _rows(self.side, whole)
        ids = [row["id"] for row in rows]
        return {
            "rows missing": n_rows - len(set(ids)),
            "rows twice": len(ids) - len(set(ids)),
            "calls made again": len(calls(folder)) - n_rows,
            "same rows": "yes" if _sorted(rows) == _sorted(known) else "no",
            "same files": "yes" if _files(self.side, folder) == _files(self.side, whole) else "no",
        }

    def _reached(self, share: float, folder: Path, command: "subprocess.Popen[bytes]") -> bool:
        """Wait until a share of the calls was made. Return False if the command ended before."""
        until = time.monotonic() + self.options.limit_s
        while len(calls(folder)) < share * self.options.rows:
            if command.poll() is not None:
                return False
            if time.monotonic() > until:
                _kill_all(command)
                raise SystemExit(f"{self.side} hangs:\n{(folder / 'log').read_text()[-3000:]}")
            time.sleep(0.05)
        return True

    def _again(self, command: "subprocess.Popen[bytes]", folder: Path) -> "subprocess.Popen[bytes]":
        command.wait()
        time.sleep(5)  # the other processes notice that their command is gone
        return self.start(folder, 2)


def _workers(folder: Path) -> list[int]:
    """Return the processes of the last calls that live."""
    return sorted({process for _, process in calls(folder)[-10:] if process_lives(process)})


def _kill_all(command: "subprocess.Popen[bytes]") -> None:
    for process in [*psutil.Process(command.pid).children(recursive=True), command]:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


def _files(side: Side, folder: Path) -> dict[str, bytes]:
    inside = folder / ("out" if side == "ray_data" else "shards")
    names = ["*.json"] if side == "ray_data" else ["parts/*", "manifest.jsonl"]
    return {str(path.relative_to(inside)): path.read_bytes() for name in names for path in inside.glob(name)}


def _rows(side: Side, folder: Path) -> list[dict[str, object]]:
    files = {name: data for name, data in _files(side, folder).items() if not name.startswith("manifest")}
    rows = [json.loads(line) for data in files.values() for line in data.splitlines()]
    return [json.loads(row["judgment"]) for row in rows] if side == "ray_data" else rows


def _sorted(rows: list[dict[str, object]]) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True) for row in rows)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
