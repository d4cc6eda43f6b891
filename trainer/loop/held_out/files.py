"""The files of the held-out prompts and answers in a run."""

from pathlib import Path

from records.runs import Run


def metrics_path(run: Run, number: int) -> Path:
    """Return the file of the figures of iteration `number`, which is there once it is measured."""
    return run.iteration(number) / "metrics.json"


def prompts_path(run: Run) -> Path:
    """Return the file of the held-out prompts."""
    return eval_path(run, "prompts")


def answers_path(run: Run, number: int) -> Path:
    """Return the file of the held-out answers of iteration `number`."""
    return eval_path(run, f"iter{number}")


def checks_path(run: Run, number: int) -> Path:
    """Return the file of what was checked in the held-out answers of iteration `number`."""
    return eval_path(run, f"iter{number}_checks")


def eval_path(run: Run, name: str) -> Path:
    """Return the file `name`.jsonl of the run's evaluation."""
    return run.folder / "eval" / f"{name}.jsonl"
