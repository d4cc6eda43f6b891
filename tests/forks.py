"""Runs commands in forked children of a process that has imported what they share: a new Python does so for each.

python -m tests.forks < PLAN.json

The plan is {"imports": [module], "jobs": [{"module", "argv", "cwd"}]}. Printed is a list of {"status", "out", "err",
"modules"}: what each child left, with the first names of the modules that it had then.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from runpy import run_module
from typing import IO

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Done:
    """What a command left."""

    status: int
    out: str
    err: str
    modules: tuple[str, ...]


def run_all(commands: Iterable[Sequence[str]], imports: Sequence[str], cwd: Path = ROOT) -> list[Done]:
    """Run each of `commands`, a module and its arguments, in `cwd`."""
    jobs = [{"module": module, "argv": argv, "cwd": str(cwd)} for module, *argv in commands]
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    found = subprocess.run(
        [sys.executable, "-m", "tests.forks"], input=json.dumps({"imports": imports, "jobs": jobs}), cwd=ROOT,
        stdout=subprocess.PIPE, text=True, timeout=300, check=True, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    return [Done(**done) for done in json.loads(found.stdout)]


def main() -> None:
    plan = json.load(sys.stdin)
    for name in plan["imports"]:
        import_module(name)
    json.dump([asdict(_done(**job)) for job in plan["jobs"]], sys.stdout)


def _done(module: str, argv: list[str], cwd: str) -> Done:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as modules:
        child = os.fork()
        if not child:
            _run(module, argv, cwd, out, err, modules)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        texts = [file.seek(0) or file.read().decode() for file in (out, err, modules)]
    return Done(status, texts[0], texts[1], tuple(texts[2].split()))


def _run(module: str, argv: list[str], cwd: str, out: IO[bytes], err: IO[bytes], modules: IO[bytes]) -> None:
    """Run a command as `python -m` does, and end this process with its exit code."""
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
