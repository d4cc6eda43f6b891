"""A runner in a process of its own: a whole turn, and a kill in the middle."""

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.judge_throughput.environments import last_line
from benchmarks.judge_throughput.killed import n_stored
from benchmarks.judge_throughput.results import Kill, Turn
from benchmarks.judge_throughput.runners import RUNNERS
from benchmarks.judge_throughput.tree import Use, use_of
from benchmarks.slow_server import calls_answered, slow_server

ROOT = Path(__file__).parent.parent.parent
QUIET = {
    "OPENAI_API_KEY": "none",
    "HF_HUB_OFFLINE": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "DEEPEVAL_TELEMETRY_OPT_OUT": "YES",
    "LANGSMITH_TRACING": "false",
    "OMP_NUM_THREADS": "1",
}
"""No runner asks another server than the slow one."""
SAMPLE_S = 0.5
POLL_S = 0.05


@dataclass(frozen=True)
class Work:
    """What each runner is to do: the answers in `file`, at a server of `delay_s`, within `limit_s`."""

    file: Path
    gradings: int
    in_flight: int
    delay_s: float
    limit_s: float


@dataclass
class Started:
    """A runner that runs, with its server's address and the folders that it may write to."""

    process: "subprocess.Popen[bytes]"
    url: str
    folder: Path

    def runs(self) -> bool:
        """Say if the runner has not ended by itself."""
        return self.process.poll() is None

    def kill(self) -> None:
        """Kill what is left of the runner and of what it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> str:
        """Kill the runner and say how many of the answered calls are on disk."""
        self.kill()
        return f"{n_stored(self.folder / 'home')} of {calls_answered(self.url)}"


def take_turn(runner: str, name: str, python: Path, work: Work) -> Turn:
    """Let a runner grade all answers. The memory is the peak of its processes together."""
    with _started(runner, python, work, "measured.json") as started:
        use, peak_mib = _wait(started, work.limit_s)
        calls = calls_answered(started.url)
        if started.runs():
            reason = f"stopped after {work.limit_s:.0f} s, {calls} calls were answered"
            return Turn(runner, name, None, calls, work.limit_s, use.processor_s, peak_mib, reason, started.stop())
        if started.process.returncode:
            text = (started.folder / "log.txt").read_text(encoding="utf-8", errors="replace")
            return Turn(runner, name, None, calls, None, None, None, f"failed: {last_line(text)}")
        found = json.loads((started.folder / "measured.json").read_text(encoding="utf-8"))
    if not found["verdicts"]:
        return Turn(runner, name, None, calls, None, None, None, f"failed: no verdicts; {calls} calls were answered")
    found["peak_mib"] = max(peak_mib, found["peak_mib"])
    return Turn(runner, name, calls=calls, **found)


def kill_at_half(runner: str, python: Path, work: Work) -> Kill:
    """Kill a runner when half of the calls are answered, and say how many replies are on disk."""
    with _started(runner, python, work, "-") as started:
        until = time.monotonic() + work.limit_s
        while started.runs() and time.monotonic() < until and calls_answered(started.url) < work.gradings / 2:
            time.sleep(POLL_S)
        return Kill(runner, started.stop() if started.runs() else "ended early")


def _wait(started: Started, limit_s: float) -> tuple[Use, float]:
    """Wait until a runner ends or the limit is over, and return what it used and its peak in MiB."""
    use, peak_mib, until = Use(0, 0), 0.0, time.monotonic() + limit_s
    while started.runs() and (rest_s := until - time.monotonic()) > 0:
        use = use_of(started.process.pid)
        peak_mib = max(peak_mib, use.mib)
        with suppress(subprocess.TimeoutExpired):
            started.process.wait(min(SAMPLE_S, rest_s))
    return use, peak_mib


@contextmanager
def _started(runner: str, python: Path, work: Work, measured: str) -> Iterator[Started]:
    """Start a runner and its server, and stop both."""
    one = RUNNERS[runner]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, slow_server(one.reply, work.delay_s) as url:
        home, side = Path(folder) / "home", Path(__file__).parent / "side.py"
        home.mkdir()
        to = measured if measured == "-" else str(Path(folder) / measured)
        command = [str(python), str(side), one.module, str(work.file), url, str(work.in_flight), to]
        environment = os.environ | QUIET | {"PYTHONPATH": str(ROOT), "HOME": str(home), "OPENAI_BASE_URL": url}
        with (Path(folder) / "log.txt").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=home, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        started = Started(process, url, Path(folder))
        try:
            yield started
        finally:
            started.kill()
