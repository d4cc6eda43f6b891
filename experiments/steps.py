"""A command of this project as one step of an experiment: run once, in its own process, with its cost stored."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from console.errors import TrainingError
from records import write_atomic

KIB_PER_MIB = 1024


@dataclass(frozen=True)
class Step:
    """A command and the file or folder that it makes. If it makes none, its output is stored there."""

    words: tuple[str, ...]
    made: Path

    def do(self) -> None:
        """Run the command if it has not been run. Raises TrainingError if it fails."""
        if self.made.exists():
            return
        started_s = time.monotonic()
        with subprocess.Popen([sys.executable, "-m", *self.words], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            printed = process.stdout.read()  # to the end before the wait, or a full pipe would block the child
            _, status, usage = os.wait4(process.pid, 0)  # the only wait that reports the child's resources
            # Popen did not see this wait: its own at the end of `with` would find no child and take the status for 0
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise TrainingError(f"failed: python -m {' '.join(self.words)}")
        if not self.made.exists():
            write_atomic(self.made, printed)
        cost = {
            "seconds": time.monotonic() - started_s,
            "cpu_seconds": usage.ru_utime + usage.ru_stime,
            "peak_mib": usage.ru_maxrss / KIB_PER_MIB,  # Linux counts it in KiB
        }
        write_atomic(self._cost, json.dumps(cost, indent=1).encode())

    @property
    def cost(self) -> dict[str, float]:
        """Return wall seconds, CPU seconds and the largest resident set of the command, in MiB.

        The last is never below this process's own, because the system counts from before the command is loaded.
        """
        cost: dict[str, float] = json.loads(self._cost.read_bytes())
        return cost

    @property
    def _cost(self) -> Path:
        return self.made.with_name(f"{self.made.name}.cost.json")
