"""The processes of one training: their number, the one that prints, and how they end together."""

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout

from console.command import INTERRUPTED
from console.errors import InputError, JudgeloopError

FIRST_SPEAKS_S = 10.0
"""Seconds that a failed process waits for the first one to print the reason. The launcher then ends it."""

SHARDING = {
    "FSDP_VERSION": "2",
    "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT",
    "FSDP_CPU_RAM_EFFICIENT_LOADING": "true",
    "FSDP_ACTIVATION_CHECKPOINTING": "false",  # transformers takes it beside --activation-checkpointing for an error
    "FSDP_OFFLOAD_PARAMS": "false",  # weights on the CPU are gathered in another way, which nobody has tested here
}
"""The settings of accelerate that sharding needs, under the names of the environment variables that carry them."""


def n_processes() -> int:
    """Return the number of processes that train this model together."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "LOCAL_RANK" in os.environ else 1


def place() -> int:
    """Return the number of this process, from 0."""
    return int(os.environ.get("RANK", "0")) if n_processes() > 1 else 0


def is_first() -> bool:
    """Return whether this process is the one that writes and prints."""
    return n_processes() == 1 or os.environ.get("RANK", "0") == "0"


def is_sharded() -> bool:
    """Return whether each process holds only a part of the weights (FSDP)."""
    return "LOCAL_RANK" in os.environ and os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"


def check_sharding() -> None:
    """Raise InputError if accelerate was told to shard in a way that loses the model or is not supported."""
    if is_sharded():
        check_sharding_settings({name: os.environ.get(name, "false") for name in SHARDING}, "accelerate's file")


def check_sharding_settings(settings: Mapping[str, object], file: str) -> None:
    """Raise InputError for a setting, under its name in SHARDING, that sharding does not go with. `file` has it."""
    for name, value in SHARDING.items():
        if str(settings[name]).lower() != value.lower():
            raise InputError(f"set {name.lower()} to {value} in {file}, as in recipes/accelerate_fsdp.yaml")


@contextmanager
def one_voice() -> Iterator[None]:
    """Run a command on all processes and show the output and the error message of the first one only.

    An error that a user can fix occurs in every process, so the others wait until the launcher ends them. A process
    that failed alone outlasts the wait and prints its own error. An error of another kind ends its process at once.
    """
    if is_first():
        yield
        _leave()
        return
    nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  libraries' log handlers keep it until the end
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
    # by sys.modules, because this module must not load torch: --help imports it
    if n_processes() > 1 and "torch" in sys.modules and sys.modules["torch"].distributed.is_initialized():
        sys.modules["torch"].distributed.destroy_process_group()
