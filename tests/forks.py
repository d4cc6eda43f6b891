"""Runs commands in forked children of a process that has imported what they share: a new Python does so for each.

python -m tests.forks < JOBS

A job is a line {"imports": [module], "module", "argv", "cwd", "environment", "timeout_s"}. For each, a line is printed
of {"status", "out", "err", "modules"}: what the child left, with the first names of the modules that it had then.
"""

import atexit
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from runpy import run_module
from typing import IO

ROOT = Path(__file__).parent.parent
LIBRARIES = (
    "tests.conftest", "sacrebleu", "scipy.stats", "transformers.models.auto.tokenization_auto",
    "transformers.models.llama.modeling_llama", "trl.trainer.dpo_trainer", "trl.trainer.sft_trainer", "peft",
    "typeguard", "torch.distributed.fsdp", "accelerate.utils.fsdp_utils", "matplotlib.backends.backend_agg",
    "judges.score.scoring", "engines.local.transformers_engine", "trainer.loop.iterations",
)  # fmt: skip
"""All that models and trainings import, much of it late. It takes seven seconds."""


@dataclass(frozen=True)
class Done:
    """What a command left."""

    status: int
    out: str
    err: str
    modules: tuple[str, ...]


class Parent:
    """A process whose children begin with what it has imported."""

    def __init__(self, **environment: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.forks"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
            env={**_environment(), **environment},
        )  # fmt: skip

    def run(self, command: Sequence[str], imports: Sequence[str], cwd: Path = ROOT, timeout_s: int = 300) -> Done:
        """Run a module and its arguments in `cwd`, after `imports`, for `timeout_s` at most."""
        module, *argv = command
        assert self._process.stdin and self._process.stdout
        job = {"imports": imports, "module": module, "argv": argv, "cwd": str(cwd), "timeout_s": timeout_s}
        print(json.dumps({**job, "environment": _environment()}), file=self._process.stdin, flush=True)
        return Done(**json.loads(self._process.stdout.readline()))

    def end(self) -> None:
        self._process.communicate()


def _environment() -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path}


@cache
def with_libraries() -> Parent:
    """Return the one process for the children of these tests that need models."""
    parent = Parent(PYTHONWARNINGS="ignore", OMP_NUM_THREADS="1")
    atexit.register(parent.end)
    return parent


def run_with_libraries(command: Sequence[str], timeout_s: int) -> None:
    """Run a module and its arguments, which begins with the libraries of models and trainings; it must succeed."""
    done = with_libraries().run(command, LIBRARIES, timeout_s=timeout_s)
    assert done.status == 0, done.err


def run_all(commands: Iterable[Sequence[str]], imports: Sequence[str], cwd: Path = ROOT) -> list[Done]:
    """Run each of `commands`, a module and its arguments, in `cwd`."""
    parent = Parent()
    done = [parent.run(command, imports, cwd) for command in commands]
    parent.end()
    return done


def main() -> None:
    for line in sys.stdin:
        job = json.loads(line)
        for name in job.pop("imports"):
            import_module(name)
        gc.collect()
        gc.freeze()  # what is imported stays, and is not looked through again
        gc.enable()
        print(json.dumps(asdict(_done(**job))), flush=True)


def _done(module: str, argv: list[str], cwd: str, environment: dict[str, str], timeout_s: int) -> Done:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as modules:
        child = os.fork()
        if not child:
            signal.alarm(timeout_s)
            os.environ.clear()
            os.environ.update(environment)
            _run(module, argv, cwd, out, err, modules)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        texts = [file.seek(0) or file.read().decode() for file in (out, err, modules)]
    return Done(status, texts[0], texts[1], tuple(texts[2].split()))


def _run(module: str, argv: list[str], cwd: str, out: IO[bytes], err: IO[bytes], modules: IO[bytes]) -> None:
    """Run a command as `python -m` does, and end this process with its exit code."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    os.chdir(cwd)
    sys.argv = [module, *argv]
    status = 1
    try:
        run_module(module, run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as end:
        status = int(end.code or 0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        modules.write(" ".join({name.split(".")[0] for name in sys.modules}).encode())
        modules.flush()
        os._exit(status)


if __name__ == "__main__":
    main()
