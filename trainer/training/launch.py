"""Training on several processes: how a loop starts them, and how they speak and fail as one.

`accelerate launch` runs a command once for each device, and tells each its RANK among WORLD_SIZE. Each process reads
the same rows and holds a part of every step; the first of them alone writes, prints and names what went wrong.
"""

import ctypes
import gc
import json
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from console.errors import InputError, TrainingError
from console.progress import say
from console.ranges import Count
from console.reading import read_text
from trainer.training.options import check_batch

if TYPE_CHECKING:
    from trainer.training.options import TrainingOptions

END_S = 30.0
"""How long a launcher has to end its processes before it is killed."""
ERROR = "error: "
"""What a command's last line begins with (console.command)."""


@dataclass(frozen=True)
class LaunchOptions:
    """How the trainings of a loop are spread over devices."""

    accelerate: Path = Path("recipes/accelerate_fsdp.yaml")
    """A file of `accelerate launch --config_file`: the number of processes, and what each of them holds."""
    processes: Count | None = None
    """Processes, instead of the file's number."""


def launch(options: LaunchOptions, module: str, arguments: Sequence[str | Path], title: str) -> None:
    """Run `python -m module` with `arguments` on several processes, and wait until all are done.

    Their stderr is this process's. Raises TrainingError with the command's own error; on Ctrl-C, or where this process
    is killed, they end too.
    """
    number = [] if options.processes is None else ["--num_processes", str(options.processes)]
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(options.accelerate), *number]
    _free_device()
    say(f"{title}: {module} with {options.accelerate}")
    with subprocess.Popen(
        [*command, "-m", module, *map(str, arguments)],
        stdout=subprocess.DEVNULL,
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


def flags_of(options: "TrainingOptions") -> list[str]:
    """Return the command-line flags that give `options`."""
    values = {name: json.dumps(one) if isinstance(one, dict) else str(one) for name, one in asdict(options).items()}
    return [word for name, value in values.items() for word in (f"--{name.replace('_', '-')}", value)]


def check_launch(options: LaunchOptions, trainings: Sequence["TrainingOptions"]) -> None:
    """Raise InputError where accelerate's file does not do for `trainings`, before anything is paid for."""
    import yaml  # type: ignore[import-untyped]

    try:
        found = yaml.safe_load(read_text(options.accelerate))
        kind, number = found["distributed_type"], options.processes or int(found["num_processes"])
        machines = int(found.get("num_machines", 1))
    except (yaml.YAMLError, TypeError, AttributeError, KeyError, ValueError, OverflowError, RecursionError) as error:
        problem = " ".join(str(error).split()).removeprefix(f"{options.accelerate}: ")
        raise InputError(f"launch.accelerate: {options.accelerate}: not a file of accelerate: {problem}") from None
    if machines > 1:
        raise InputError(f"{options.accelerate}: a loop starts processes on its own machine only: num_machines 1")
    if number > 1 and kind not in ("MULTI_GPU", "FSDP"):
        raise InputError(
            f"{options.accelerate}: accelerate would start one process for distributed_type {kind}, not {number}: "
            "MULTI_GPU is right for processors too"
        )
    for training in trainings:
        check_batch(training, number)


def _passed_on(lines: Iterable[str]) -> str:
    """Print what the child says until its error, and return that; the launcher's own report after it says no more."""
    error, last = None, deque[str](maxlen=1)
    for line in lines:
        if error is None and line.startswith(ERROR):
            error = line.removeprefix(ERROR).strip()
        elif error is None or "--debug" in sys.argv:
            say(line.rstrip("\n"))
            last.append(line.strip())
    return error or f"the launch failed: {''.join(last) or 'it said nothing'}"


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
    if "torch" in sys.modules:
        sys.modules["torch"].cuda.empty_cache()  # freed tensors stay this process's own until then
