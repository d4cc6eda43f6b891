"""A program in a terminal without a window: keys go in, and the time is taken until the screen says something."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

CELLS = (40, 120)
LIMIT_S = 300.0
ESCAPES = re.compile(rb"\x1b\[[0-9;?<>=]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b\][^\x07]*\x07|\x1b[=>]")


@dataclass(frozen=True)
class Taken:
    """The time that something took: by the clock, and of the processor, in seconds."""

    wall_s: float
    cpu_s: float

    def __str__(self) -> str:
        return f"{self.wall_s:.2f} ({self.cpu_s:.2f})"


class NotShownError(Exception):
    """The screen did not say within the time what was waited for."""


class Terminal:
    """A running program and what it has written since the last key."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._ours, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", *CELLS, 0, 0))
        known = {
            **os.environ,
            "PYTHONPATH": str(folder),
            "TERM": "xterm-256color",
            **(environment or {}),
        }
        self._started = time.perf_counter()
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=known,
            stdin=inside,
            stdout=inside,
            stderr=inside,
            start_new_session=True,
        )
        os.close(inside)
        self._written = b""
        self._cpu_before_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        os.close(self._ours)

    def until(self, pattern: str) -> "Taken":
        """Return the time since the start, or the last key, until the screen has `pattern`."""
        wanted = re.compile(pattern)
        while time.perf_counter() - self._started < LIMIT_S:
            if wanted.search(ESCAPES.sub(b"", self._written).decode("utf-8", "replace")):
                return Taken(
                    time.perf_counter() - self._started,
                    self._cpu_s() - self._cpu_before_s,
                )
            if select.select([self._ours], [], [], 0.5)[0]:
                try:
                    self._written += os.read(self._ours, 1 << 16)
                except OSError:
                    break
        shown = " ".join(ESCAPES.sub(b"", self._written).decode("utf-8", "replace").split())[-300:]
        raise NotShownError(f"within {LIMIT_S:.0f} s the screen never said {pattern!r}, but: {shown!r}")

    def key(self, keys: str, pattern: str) -> "Taken":
        """Press keys, and return the time until the screen says `pattern`."""
        time.sleep(0.3)  # what was asked before is drawn to its end
        while select.select([self._ours], [], [], 0)[0]:
            os.read(self._ours, 1 << 16)
        self._written = b""
        self._started, self._cpu_before_s = time.perf_counter(), self._cpu_s()
        os.write(self._ours, keys.encode())
        return self.until(pattern)

    def idle(self) -> "Taken":
        """Return the time since the start, or the last key, until the program has had nothing to do for a second."""
        quiet_since, used = time.perf_counter(), self._cpu_s()
        while (now := time.perf_counter()) - quiet_since < 1.0 and now - self._started < LIMIT_S:
            if select.select([self._ours], [], [], 0.1)[0]:
                self._written = os.read(self._ours, 1 << 16)
            if self._cpu_s() - used > 0.05:
                quiet_since, used = now, self._cpu_s()
        return Taken(quiet_since - self._started, self._cpu_s() - self._cpu_before_s)

    def _cpu_s(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> tuple[int, int]:
        """Return the megabytes of the process: all, and without mapped files."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        sizes = {name: int(kib) * 1024 // 1_000_000 for name, kib in re.findall(r"(VmRSS|RssAnon):\s+(\d+)", status)}
        return sizes["VmRSS"], sizes["RssAnon"]
