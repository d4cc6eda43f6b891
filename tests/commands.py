"""Finds a command by the name that `python -m` takes."""

import importlib
from typing import Any


def command_named(name: str) -> Any:
    """Return the module of a command: its file, or the `__main__` of its folder."""
    module = importlib.import_module(name)
    return importlib.import_module(f"{name}.__main__") if hasattr(module, "__path__") else module
