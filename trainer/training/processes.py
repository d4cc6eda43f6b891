"""The processes of one training: how many there are, which of them speaks, and how they end together."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

from console.command import INTERRUPTED
from console.errors import InputError, JudgeloopError

FIRST_SPEAKS_S = 10.0
"""How long a process that failed waits for the first to say why; the launcher then ends it."""


SHARDING = {
    "FSDP_VERSION": "2",
    "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT",
    "FSDP_CPU_RAM_EFFICIENT_LOADING": "true",
}
"""What accelerate must have been told, as it passes it on in the environment."""


def n_processes() -> int:
    """Return how many processes train this model together."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "LOCAL_RANK" in os.environ else 1


def is_first() -> bool:
    """Whether this process is the one that writes and prints."""
    return n_processes() == 1 or os.environ.get("RANK", "0") == "0"


def is_sharded() -> bool:
    """Whether each process holds a part of the weights only (FSDP)."""
    return "LOCAL_RANK" in os.environ and os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"


def check_sharding() -> None:
    """Raise InputError where accelerate was told to shard in a way that loses the model or is not made for here."""
    if not is_sharded():
        return
    for name, value in SHARDING.items():
        if os.environ.get(name, "").lower() != value.lower():
            raise InputError(f"set {name.lower()} to {value} in accelerate's file, as in recipes/accelerate_fsdp.yaml")


@contextmanager
def one_voice() -> Iterator[None]:
    """Run a command on all processes, with the output and the error message of the first one only.

    What a person can do something about, every process meets: the others wait until the launcher ends them, and only
    one that failed alone says why. An error of another kind ends its process at once.
    """
    if is_first():
        yield
        _leave()
        return
    nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  libraries' log handlers keep it to the end
    with redirect_stdout(nowhere), redirect_stderr(nowhere):
        try:
            yield
        except JudgeloopError:
            time.sleep(FIRST_SPEAKS_S)
            raise
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
        _leave()


def _leave() -> None:
    if n_processes() > 1 and "torch" in sys.modules and sys.modules["torch"].distributed.is_initialized():
        sys.modules["torch"].distributed.destroy_process_group()
