"""Sets how a process that computes uses the machine: its threads sleep while they wait, and it keeps freed memory.

Importing this module before torch is enough for the threads. Two spinning threads of OpenMP beside a busy process make
everything 5 to 8 times slower. libgomp reads the settings once, when torch is loaded, so every room's package imports
this module first. They then hold for its commands, for its use as a library, and for the processes that a command
starts. Values that the user has set stay.
"""

import ctypes
import os
from functools import cache

SETTINGS = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""The numbers of two settings of glibc's allocator, from its header malloc.h."""
KEPT_BYTES = 1 << 30
"""A tensor below this size is taken from memory that was freed before."""
NEVER = -1
OF_THE_USER = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_", "GLIBC_TUNABLES")
"""Variables by which glibc's allocator is set from outside."""

for _name, _value in SETTINGS.items():
    os.environ.setdefault(_name, _value)


@cache
def keep_freed_memory() -> bool:
    """Tell the GNU C library to keep what is freed, once in a process, and return whether it does.

    By default it asks the system for each tensor above 32 MiB and gives it back when the tensor dies. The system then
    fills every page of the next one with zeros, a sixth of the time of a training step of SmolLM2-135M
    (`benchmarks/training/freed_memory.py`). The process stays as large as it once was. Other libraries are left alone,
    and so are settings of the user's own.
    """
    if any(name in os.environ for name in OF_THE_USER):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # macOS, musl and Windows have no such function
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)) and bool(mallopt(M_TRIM_THRESHOLD, NEVER))
