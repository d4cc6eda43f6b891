import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import ROOT
from tests.forks import run_all

PROGRAMS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
    for room in ("benchmarks", "experiments")
    for path in (ROOT / room).rglob("*.py")
    if 'if __name__ == "__main__":' in path.read_text(encoding="utf-8")
)


def asked(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", program, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


@pytest.mark.slow
def test_help_of_every_benchmark_and_experiment_says_its_use_and_runs_nothing() -> None:
    with ThreadPoolExecutor(2) as pool:
        found = dict(zip(PROGRAMS, pool.map(lambda program: asked(program, "--help"), PROGRAMS), strict=True))
    assert {program for program, one in found.items() if one.returncode != 0} == set()
    assert {program for program, one in found.items() if "| ---" in one.stdout or not one.stdout.strip()} == set()


def test_help_of_a_benchmark_without_flags_runs_nothing() -> None:
    commands = [("benchmarks.skinny", "--help"), ("benchmarks.skinny", "--rows", "3")]
    helped, refused = run_all(commands, imports=["torch"])
    assert helped.status == 0 and "python -m benchmarks.skinny" in helped.out and "| ---" not in helped.out
    assert refused.status == 2


def test_a_side_says_what_it_is_given(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.side import arguments

    monkeypatch.setattr(sys, "argv", ["side", "a", "b"])
    assert arguments("doc", "SIDE", "FOLDER") == ["a", "b"]
    with pytest.raises(SystemExit) as wrong:
        arguments("doc", "SIDE")
    assert wrong.value.code == 2 and "2 arguments, expected SIDE" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["side", "a", "-h"])
    with pytest.raises(SystemExit) as helped:
        arguments("doc", "SIDE", "FOLDER")
    assert helped.value.code == 0 and capsys.readouterr().out == "doc\n"
