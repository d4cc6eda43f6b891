"""The outcome of a training: the report beside the model, its table row, and the folders it is written to."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from console.errors import InputError
from console.writing import check_writable, make_folder
from records.leftovers import ENDING, remove, remove_leftovers
from records.store import set_aside
from trainer.training.processes import is_first

REPORT = "training.json"
"""Lies in the model's own folder, so that model and report appear at the same moment."""

VALIDATION_LOSS = "validation/loss"
"""The metric with the loss on held-out prompts of the model that was kept."""


@dataclass(frozen=True)
class Trained:
    """The report of a training."""

    n_examples: int
    n_steps: int
    loss: float
    """Mean over the steps, natural logarithm."""
    metrics: dict[str, float]
    """The trainer's own metrics at its last logging, for example rewards/accuracies of DPO."""
    n_left_out: int = 0
    """Examples that were skipped because they end beyond max_length."""
    n_cut_off: int = 0
    """Examples with an answer that was cut off when it was generated."""


def report_of(model: Path) -> Trained:
    """Return the report of the training that made the model in `model`."""
    return msgspec.json.decode((model / REPORT).read_bytes(), type=Trained)


def figures_of(trained: Trained) -> dict[str, float]:
    """Return the figures of a training that a ledger keeps."""
    counts = {"examples": trained.n_examples, "left_out": trained.n_left_out, "cut_off": trained.n_cut_off}
    return {**counts, "steps": trained.n_steps, "loss": trained.loss, **trained.metrics}


def table_row(trained: Trained, out: Path) -> dict[str, str | int | float | None]:
    """Return the table row that a training command ends with."""
    return {
        "examples": trained.n_examples,
        "left out": trained.n_left_out,
        "cut off": trained.n_cut_off,
        "steps": trained.n_steps,
        "loss": trained.loss,
        **({} if VALIDATION_LOSS not in trained.metrics else {"validation loss": trained.metrics[VALIDATION_LOSS]}),
        "model": str(out),
    }


def work_of(out: Path) -> Path:
    """Return the work folder of the training that makes `out`, which holds its saved state."""
    return out.with_name(f"{out.name}.state")


def examples_path(out: Path) -> Path:
    """Return the folder with the examples of the training that makes `out`, while it runs."""
    return out.with_name(f"{out.name}.examples")


def metrics_path(out: Path) -> Path:
    """Return the file with a row of figures per step of the training that makes `out`."""
    return out.with_name(f"{out.name}.metrics.jsonl")


def curves_path(out: Path) -> Path:
    """Return the picture of these figures."""
    return out.with_name(f"{out.name}.curves.png")


def check_free(folder: Path, read: Iterable[str | Path | None] = (), *, fresh: bool) -> None:
    """Raise InputError if there is a model in `folder`, which only --fresh sets aside, or something that is read.

    `read` has the files and models of the training as they were named. Those that are no paths are left out.
    """
    if folder.exists() and not fresh:
        raise InputError(f"{folder} exists; give another --out, or --fresh to set it aside")
    for path in (Path(name) for name in read if name is not None):
        if path.exists() and path.resolve().is_relative_to(folder.resolve()):
            raise InputError(f"--fresh would set aside {path}, which the training reads; give another --out")


def claim_folder(folder: Path, read: Iterable[str | Path | None] = (), *, fresh: bool) -> None:
    """Make sure that a new model may be saved in `folder`. With --fresh, an earlier model is set aside.

    `read` is what the training reads, as in `check_free`.

    Every process checks, and the first one sets aside. No process can finish a new model in `folder` without the
    others, so none of them mistakes that model for an earlier one.
    """
    check_writable(folder, folder=True)
    check_free(folder, read, fresh=fresh)
    if is_first():
        remove_leftovers(folder.parent)
        remove(folder.with_name(f"{folder.name}{ENDING}"))  # the half-saved model of a killed training
        set_aside(folder)
        if fresh:
            for path in (work_of(folder), metrics_path(folder), curves_path(folder)):
                set_aside(path)
        make_folder(folder.parent)
