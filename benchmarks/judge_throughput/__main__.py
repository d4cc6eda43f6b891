"""Gradings per second: this project, a bare loop on the openai SDK, and other judges' own runners, side by side.

python -m benchmarks.judge_throughput                                 this project and the bare loop, two minutes
python -m benchmarks.judge_throughput --cache ~/.cache/judges         the others too: gigabytes, half an hour
python -m benchmarks.judge_throughput --answers model_outputs.json.gz --runners project openevals --cache envs

A server answers each call after 0.2 s, and each runner grades the same answers with 64 calls in flight. Each runs as
its users run it, in a process and an environment of its own. pip makes the environments in --cache, once. The runners
take turns, so that a busy machine is busy for all. Light runners take --repeats turns, the others one.

The seconds, the processor seconds and the memory are those of the runner's process without its imports. Each runner is
then started again and killed (-9) when the server has answered half of the calls: *stored* is how many of the replies
are in its files. A runner that cannot be installed or does not finish is named with the reason.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from itertools import cycle, islice
from math import ceil
from pathlib import Path
from statistics import median

import tyro

from benchmarks.judge_throughput.environments import NotInstalledError, last_line, python_of, version_of
from benchmarks.judge_throughput.killed import n_stored
from benchmarks.judge_throughput.runners import RUNNERS, Runner
from benchmarks.slow_server import calls_answered, slow_server
from console.output import tell
from console.progress import say
from console.table import Cell, print_table
from records.files import BadRows
from records.rows import request_text
from records.shapes import read_responses

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "judges" / "example.jsonl"
QUIET = {
    "OPENAI_API_KEY": "none",
    "HF_HUB_OFFLINE": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "DEEPEVAL_TELEMETRY_OPT_OUT": "YES",
    "LANGSMITH_TRACING": "false",
    "OMP_NUM_THREADS": "1",
}
"""No runner asks another server than the slow one."""


class UnfinishedError(Exception):
    """A runner that failed or took too long."""


@dataclass
class Found:
    """The runs of one runner."""

    runner: Runner
    python: Path
    name: str
    runs: list[dict[str, float]] = field(default_factory=list)
    stored: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Config:
    """Measure judges' runners."""

    answers: tuple[Path, ...] = (EXAMPLE,)
    """Files of answers: AlpacaEval's model outputs, or JSONL of this project. The default is the packaged example."""
    gradings: int = 1000
    """How many answers are graded. Too few answers are repeated."""
    in_flight: int = 64
    """The most calls at a time."""
    repeats: int = 3
    """Turns of the light runners."""
    delay_s: float = 0.2
    """Seconds of each call."""
    runners: tuple[str, ...] = tuple(RUNNERS)
    """Which to run. The default is all."""
    cache: Path | None = None
    """The folder of the environments. Without it, only what needs none is run."""
    timeout_s: float = 600
    """A runner that takes longer is stopped and named."""


def main(config: Config) -> None:
    """Print the tables."""
    found = [_prepared(name, config) for name in config.runners]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "answers.jsonl"
        rows = answers_of(config.answers, config.gradings)
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        for turn in range(config.repeats):
            for one in found:
                if not one.reason and (turn == 0 or one.runner.is_light):
                    _measure(one, file, config)
        for one in found:
            if one.runs:
                one.stored = _killed(one, file, config)
    _print(found, config)


def _prepared(name: str, config: Config) -> Found:
    runner = RUNNERS[name]
    if not runner.requirements:
        return Found(runner, Path(sys.executable), runner.title)
    if config.cache is None:
        return Found(runner, Path(), runner.title, reason="no --cache folder for its environment")
    say(f"installing {runner.title} ...")
    try:
        python = python_of(config.cache.resolve(), name, runner.requirements)
    except NotInstalledError as error:
        return Found(runner, Path(), runner.title, reason=f"not installed: {error}")
    return Found(runner, python, f"{runner.title} {version_of(python, runner.requirements[0])}")


def answers_of(files: tuple[Path, ...], n: int) -> list[dict[str, str]]:
    """Return `n` rows with an id, a prompt and a response. Too few answers are repeated with a number before them."""
    rows = (row for file in files for row in read_responses(file, BadRows(strict=True)))
    answers = [(request_text(row.prompt), row.response) for row in rows]
    return [
        {
            "id": f"a{number}",
            "prompt": prompt,
            "response": response if number < len(answers) else f"{number}. {response}",
            "model": "graded",
        }
        for number, (prompt, response) in enumerate(islice(cycle(answers), n))
    ]


def _measure(one: Found, file: Path, config: Config) -> None:
    say(f"{one.name} ...")
    with tempfile.TemporaryDirectory() as work, slow_server(one.runner.reply, config.delay_s) as url:
        measured = Path(work) / "measured.json"
        process = _start(one, file, url, config, Path(work), str(measured))
        try:
            _finish(process, Path(work), config.timeout_s)
        except UnfinishedError as error:
            one.reason = f"did not finish: {error}; {calls_answered(url)} calls were answered"
            return
        one.runs.append(json.loads(measured.read_text(encoding="utf-8")))
    say(f"{one.name}: {one.runs[-1]}")  # a stopped command has shown what it measured


def _start(one: Found, file: Path, url: str, config: Config, work: Path, measured: str) -> "subprocess.Popen[bytes]":
    side = ROOT / "benchmarks" / "judge_throughput" / "side.py"
    command = [str(one.python), str(side), one.runner.module, str(file), url, str(config.in_flight), measured]
    home = work / "home"
    home.mkdir()
    environment = os.environ | QUIET | {"PYTHONPATH": str(ROOT), "HOME": str(home), "OPENAI_BASE_URL": url}
    with (work / "log.txt").open("wb") as log:
        return subprocess.Popen(
            command, cwd=home, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def _finish(process: "subprocess.Popen[bytes]", work: Path, timeout_s: float) -> None:
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        _kill(process)
        raise UnfinishedError(f"stopped after {timeout_s:.0f} s") from None
    if process.returncode:
        raise UnfinishedError(last_line((work / "log.txt").read_text(encoding="utf-8", errors="replace")))


def _kill(process: "subprocess.Popen[bytes]") -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _killed(one: Found, file: Path, config: Config) -> str:
    """Return how many of the answered calls are on disk after a kill at half of them."""
    say(f"{one.name}, killed at half ...")
    with tempfile.TemporaryDirectory() as work, slow_server(one.runner.reply, config.delay_s) as url:
        process = _start(one, file, url, config, Path(work), "-")
        until = time.monotonic() + config.timeout_s
        while process.poll() is None and time.monotonic() < until and calls_answered(url) < config.gradings / 2:
            time.sleep(0.05)
        ended = process.poll() is not None
        _kill(process)
        n_answered, stored = calls_answered(url), n_stored(Path(work) / "home")
    return "ended early" if ended else f"{stored} of {n_answered}"


def _print(found: list[Found], config: Config) -> None:
    ideal_s = ceil(config.gradings / config.in_flight) * config.delay_s
    finished = [one for one in found if one.runs]
    print_table([row_of(one.name, one.runs, config.gradings, ideal_s) for one in finished])
    tell()
    base = next((one.runs for one in finished if one.runner.module == "project"), None)
    print_table([cost_of(one.name, one.runs, one.stored, base) for one in finished])
    for one in found:
        if one.reason:
            tell(f"{one.name}: {one.reason}")


def row_of(name: str, runs: list[dict[str, float]], gradings: int, ideal_s: float) -> dict[str, Cell]:
    """Return a row of the table of speeds, from the medians."""
    wall_s = median(run["wall_s"] for run in runs)
    return {
        "runner": name,
        "verdicts": int(min(run["verdicts"] for run in runs)),
        "turns": len(runs),
        "wall s": round(wall_s, 2),
        "calls/s": round(gradings / wall_s, 1),
        "% of ideal": round(100 * ideal_s / wall_s, 1),
    }


def cost_of(
    name: str, runs: list[dict[str, float]], stored: str, base: list[dict[str, float]] | None
) -> dict[str, Cell]:
    """Return a row of the table of costs, from the medians, with the time as a multiple of this project's."""
    processor_s = median(run["processor_s"] for run in runs)
    times = median(run["wall_s"] for run in runs) / median(run["wall_s"] for run in base) if base else None
    return {
        "runner": name,
        "processor s": round(processor_s, 2),
        "peak MiB": round(max(run["peak_mib"] for run in runs)),
        "stored": stored,
        "wall / ours": times and round(times, 2),
    }


if __name__ == "__main__":
    main(tyro.cli(Config, prog="python -m benchmarks.judge_throughput", description=__doc__))
