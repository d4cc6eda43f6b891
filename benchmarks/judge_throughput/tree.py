"""What the processes of a session use: a runner and those that it started."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Use:
    """Processor seconds so far, those of ended processes included, and MiB with shared pages counted once."""

    processor_s: float
    mib: float


def use_of(session: int) -> Use:
    """Return what the processes of a session use now."""
    found = {pid: fields for pid, fields in _processes() if int(fields[3]) == session}
    ticks = sum(sum(map(int, fields[11:15])) for fields in found.values())
    return Use(ticks / TICKS, sum(map(_mib, found)))


def _processes() -> list[tuple[str, list[str]]]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):  # it has ended
            text = Path(f"/proc/{name}/stat").read_text(encoding="utf-8")
            found.append((name, text.rpartition(")")[2].split()))  # a name may hold spaces
    return found


def _mib(pid: str) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0
