"""A Python environment for each judge's runner, made with pip and kept in a folder."""

import subprocess
import sys
from pathlib import Path

INSTALL_S = 1200


class NotInstalledError(Exception):
    """An environment that pip could not make."""


def python_of(cache: Path, name: str, requirements: list[str]) -> Path:
    """Return the interpreter of an environment that has the requirements, made unless it is there."""
    folder = cache / name
    python, made = folder / "bin" / "python", folder / "made.txt"
    if made.is_file() and made.read_text(encoding="utf-8") == " ".join(requirements):
        return python
    cache.mkdir(parents=True, exist_ok=True)
    _run([sys.executable, "-m", "venv", "--clear", str(folder)])
    _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements])
    made.write_text(" ".join(requirements), encoding="utf-8")
    return python


def version_of(python: Path, package: str) -> str:
    """Return the version of a package in an environment. The package may have extras. Raises NotInstalledError."""
    code = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"
    return _run([str(python), "-c", code, package.partition("[")[0]]).strip()


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S)
    except subprocess.TimeoutExpired:
        raise NotInstalledError(f"it took more than {INSTALL_S} s") from None
    if done.returncode:
        raise NotInstalledError(last_line(done.stdout + done.stderr))
    return done.stdout


def last_line(text: str) -> str:
    """Return the last line of a program's output that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
