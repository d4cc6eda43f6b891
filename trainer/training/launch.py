"""Launches a training on several processes, which print and fail as one.

`accelerate launch` runs a command once per device and tells each process its RANK among WORLD_SIZE. Each process reads
the same rows and computes a part of every step. Only the first one writes, prints and reports errors.
"""

import ctypes
import gc
import json
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml  # type: ignore[import-untyped]

from console.errors import InputError, TrainingError
from console.flags import in_section
from console.progress import say
from console.ranges import Count
from console.reading import read_text
from trainer.training.options import LoraOptions, TrainingOptions, check_together
from trainer.training.processes import SHARDING, check_sharding_settings

END_S = 30.0
"""Seconds that a launcher has to end its processes before it is killed."""
ERROR = "error: "
"""The beginning of a failed command's last line (console.command)."""


@dataclass(frozen=True)
class LaunchOptions:
    """The processes of a loop's trainings."""

    accelerate: Path = Path("recipes/accelerate_fsdp.yaml")
    """A file for `accelerate launch --config_file`: the number of processes, and how the weights are sharded."""
    processes: Count | None = None
    """The number of processes, instead of the file's."""


def launch(options: LaunchOptions, module: str, arguments: Sequence[str | Path], title: str) -> None:
    """Run `python -m module` with `arguments` on several processes, and wait until all are done.

    Their stderr is passed on. Raises TrainingError with the command's own error. They also end on Ctrl-C and if this
    process is killed.
    """
    number = [] if options.processes is None else ["--num_processes", str(options.processes)]
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(options.accelerate), *number]
    _free_device()
    say(f"{title}: {module} with {options.accelerate}")
    with subprocess.Popen(
        [*command, "-m", module, *map(str, arguments)],
        stdout=subprocess.DEVNULL,  # its table: the caller prints its own
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        preexec_fn=_end_with_parent,
    ) as child:
        try:
            assert child.stderr is not None
            error = _passed_on(child.stderr)
            status = child.wait()
        except BaseException:
            _end(child)
            raise
    if status:
        raise TrainingError(f"{title}: {error}")


def flags_of(options: TrainingOptions) -> list[str]:
    """Return the command-line flags that set `options`."""
    flags: list[str] = []
    for name, value in asdict(options).items():
        if name == "lora":
            continue
        if isinstance(value, bool):  # a switch that is off by default has no value
            flags += [f"--{name.replace('_', '-')}"] if value else []
            continue
        flags += [f"--{name.replace('_', '-')}", json.dumps(value) if isinstance(value, dict) else str(value)]
    return flags + _lora_flags(options.lora)


def _lora_flags(options: LoraOptions) -> list[str]:
    flags = []
    for name, value in asdict(options).items():
        if value != getattr(LoraOptions(), name):
            words = [] if value is True else map(str, value) if isinstance(value, tuple) else [str(value)]
            flags += [f"--lora.{name.replace('_', '-')}", *words]
    return flags


def check_launch(options: LaunchOptions, trainings: Mapping[str, TrainingOptions]) -> None:
    """Raise InputError if accelerate's file does not suit `trainings`, before anything expensive runs.

    They are named by what their flags begin with, such as `sft.`.
    """
    try:
        settings = yaml.safe_load(read_text(options.accelerate))
        kind, number = settings["distributed_type"], options.processes or int(settings["num_processes"])
        machines = int(settings.get("num_machines", 1))
        given = {str(name).upper(): value for name, value in (settings.get("fsdp_config") or {}).items()}
    except (yaml.YAMLError, TypeError, AttributeError, KeyError, ValueError, OverflowError, RecursionError) as error:
        problem = " ".join(str(error).split()).removeprefix(f"{options.accelerate}: ")
        raise InputError(
            f"launch.accelerate: {options.accelerate}: not a config file of accelerate: {problem}"
        ) from None
    if machines > 1:
        raise InputError(f"{options.accelerate}: a loop starts processes on one machine only; set num_machines to 1")
    if number > 1 and kind not in ("MULTI_GPU", "FSDP"):
        raise InputError(
            f"{options.accelerate}: accelerate would start one process for distributed_type {kind}, not {number}; "
            "use MULTI_GPU, also without a GPU"
        )
    is_sharded = kind == "FSDP"
    if is_sharded:
        check_sharding_settings(SHARDING | given, str(options.accelerate))  # what is missing the processes will check
    for within, training in trainings.items():
        with in_section(within, training):
            check_together(training, number, is_sharded=is_sharded)


def _passed_on(lines: Iterable[str]) -> str:
    """Print the child's lines up to its error and return the error. The launcher's report after it adds nothing."""
    error, last = None, deque[str](maxlen=1)
    for line in lines:
        if error is None and line.startswith(ERROR):
            error = line.removeprefix(ERROR).strip()
        elif error is None or "--debug" in sys.argv:
            say(line.rstrip("\n"))
            last.append(line.strip())
    return error or f"the launch failed: {''.join(last) or 'it printed nothing'}"


def _end(child: "subprocess.Popen[str]") -> None:
    child.terminate()
    try:
        child.wait(END_S)
    except subprocess.TimeoutExpired:
        child.kill()


def _end_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: a killed loop leaves no training behind


def _free_device() -> None:
    gc.collect()
    if "torch" in sys.modules:  # --help imports this module, which must not load torch
        sys.modules["torch"].cuda.empty_cache()  # freed tensors belong to this process until then
