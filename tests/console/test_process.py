import ast
import json
import platform
from pathlib import Path

import pytest

from console.process import keep_freed_memory
from tests.conftest import ROOT
from tests.console.test_command import python

ROOMS = ("console", "records", "engines", "judges", "trainer", "evals", "tui", "experiments", "benchmarks")
COMMANDS = [
    path
    for path in sorted(ROOT.rglob("*.py"))
    # an example is not in a room: it imports one before torch
    if not {"tests", ".venv", "examples"} & set(path.relative_to(ROOT).parts)
    and '__name__ == "__main__"' in path.read_text()
]
WATCH = """
import json, os, sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print(json.dumps([os.environ.get("OMP_WAIT_POLICY"), os.environ.get("GOMP_SPINCOUNT")]))
            sys.stdout.flush()
            os._exit(0)

sys.meta_path.insert(0, Watch())
"""


def seen_by_torch(code: str, **environment: str) -> list[str | None]:
    """Return the two settings at the moment when torch is asked for."""
    found = python("-c", f"{WATCH}\n{code}", **environment)
    assert found.returncode == 0, found.stderr
    values: list[str | None] = json.loads(found.stdout)
    return values


def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "code",
    [
        *(f"import {room}; import torch" for room in ROOMS),
        "from judges import Judge; from engines.local.transformers_engine import TransformersEngine",
        "from engines.local.transformers_engine import TransformersEngine",
        "from trainer.training import fit; import torch",
        "from records import Store; import torch",
        "import runpy; runpy.run_module('benchmarks.skinny', run_name='__main__')",
    ],
)
def test_threads_are_told_to_sleep_before_torch_is_loaded(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    unset(monkeypatch)
    assert seen_by_torch(code) == ["PASSIVE", "0"]


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    unset(monkeypatch)
    code = "import trainer; import torch"
    assert seen_by_torch(code, OMP_WAIT_POLICY="ACTIVE") == ["ACTIVE", "0"]
    assert seen_by_torch(code, GOMP_SPINCOUNT="1000") == ["PASSIVE", "1000"]


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_is_in_a_package_that_sets_them(path: Path) -> None:
    # `python -m room.command`, a launcher's process too, imports the room's package first
    room = path.relative_to(ROOT).parts[0]
    assert room in ROOMS
    first = [node for node in ast.parse((ROOT / room / "__init__.py").read_text()).body if isinstance(node, ast.Import)]
    assert any(alias.name == "console.process" for node in first for alias in node.names)


def test_the_commands_are_found() -> None:
    assert {ROOT / "benchmarks" / "engine" / "__main__.py", ROOT / "trainer" / "ppo" / "__main__.py"} <= set(COMMANDS)


GNU = platform.libc_ver()[0] == "glibc"
FAULTS = """
import resource, sys
import torch
from console.process import keep_freed_memory

if sys.argv[1] == "kept":
    assert keep_freed_memory()
torch.ones(16 << 20)  # 64 MiB
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    assert torch.ones(16 << 20)[-1] == 1
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    """Return how many pages the system fills with zeros for twenty tensors, each of which dies before the next."""
    return int(python("-c", FAULTS, how).stdout)


@pytest.mark.skipif(not GNU, reason="only glibc has these settings")
def test_the_memory_of_a_freed_tensor_is_used_for_the_next_one() -> None:
    assert faults("kept") < faults("given back") / 2


@pytest.mark.skipif(not GNU, reason="only glibc has these settings")
@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"])
def test_settings_of_the_allocator_that_the_user_has_made_stay(name: str) -> None:
    code = "from console.process import keep_freed_memory; print(keep_freed_memory())"
    assert python("-c", code, **{name: "131072"}).stdout == "False\n"


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.process.ctypes.CDLL", lambda _: object())
    keep_freed_memory.cache_clear()
    try:
        assert keep_freed_memory() is False
    finally:
        keep_freed_memory.cache_clear()
