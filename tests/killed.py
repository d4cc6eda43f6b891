"""Starts a command as a user does, and kills it with SIGKILL in the middle of its work."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.conftest import ROOT


def command_in(folder: Path, *argv: str, **environment: str) -> "subprocess.Popen[str]":
    """Start `python -m ARGV` in `folder`; what it says goes into a pipe."""
    return subprocess.Popen(
        [sys.executable, "-m", *argv],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


def killed_at(command: "subprocess.Popen[str]", path: Path, n_rows: int, within_s: float = 300.0) -> int:
    """Kill `command` when `path` has `n_rows` whole rows, and return how many it has then."""
    until = time.monotonic() + within_s
    while command.poll() is None and time.monotonic() < until:
        if path.exists() and path.read_bytes().count(b"\n") >= n_rows:
            break
        time.sleep(0.002)
    command.kill()
    _, said = command.communicate()  # the pipe's end: no process that it started holds it
    assert command.returncode == -signal.SIGKILL, said
    return path.read_bytes().count(b"\n")
