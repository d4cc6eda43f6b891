"""The folder of a model's results on a benchmark."""

from pathlib import Path

from engines.options import EngineOptions, is_iteration
from records.names import folder_name
from records.runs import RUNS, find_run


def results_folder(options: EngineOptions, benchmark: str) -> Path:
    """Return runs/<run>/evals/<model>/<benchmark> for an iteration of a run, or runs/evals/... for another model.

    Raises InputError if the run does not exist.
    """
    root = find_run(options.run).folder if is_iteration(options) else RUNS
    return root / "evals" / folder_name(options.model) / benchmark
