"""Imports modules of the alpaca-eval package without what they print and change. No other module imports it."""

import importlib
import importlib.util
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType

import sklearn

NAME = "alpaca_eval"


@contextmanager
def quietly(*modules: str, level: int = logging.WARNING) -> Iterator[ModuleType]:
    """Yield the last of the package's `modules`, kept off stdout, and its log below `level` off stderr.

    Restores the global settings of logging and scikit-learn.
    """
    root = logging.getLogger()
    before = root.level
    # stdout is for --json; the package turns on scikit-learn's metadata routing for the whole process
    with redirect_stdout(sys.stderr), sklearn.config_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # about how the package calls scikit-learn and pandas
        # an import prints and sets the level of the root logger
        imported = [importlib.import_module(f"{NAME}.{module}") for module in modules]
        root.setLevel(level)
        try:
            yield imported[-1]
        finally:
            root.setLevel(before)


def package_folder() -> Path:
    """Return the folder of the package, which is not imported."""
    spec = importlib.util.find_spec(NAME)
    assert spec is not None and spec.submodule_search_locations  # it is installed with this project
    return Path(spec.submodule_search_locations[0])
