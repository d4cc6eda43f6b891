"""Finds what a run keeps that no resume needs, and removes it.

Only three kinds of things count: what lies beside a model that is whole (the saved state of its training, the optimiser
in PPO's checkpoints), the checkpoints of an iteration that is in the ledger, and the examples of a run's training that
was killed, which a resume makes again. A training without its model is not touched otherwise, because it may go on.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from records.leftovers import remove
from records.runs import Run
from trainer.training.checkpoints import ONLY_FOR_TRAINING, STEP, flaw_of, keep_policy
from trainer.training.outcome import examples_path, work_of

CHECKPOINTS = "checkpoints"
"""The folder of an iteration's checkpoints (early stopping). One of them is hard-linked as the model."""


@dataclass(frozen=True)
class Freeable:
    """A folder or a set of files that could be removed."""

    path: Path
    what: str
    files: tuple[Path, ...]
    """All files that would go."""
    n_bytes: int
    """The bytes that this frees. A file with another name elsewhere frees nothing."""

    def clean(self) -> None:
        """Remove the files, and the folder if they are all of it."""
        if self.what == OPTIMISER_STATE:
            keep_policy(self.path)
        else:
            remove(self.path)


TRAINING_STATE, TRAINING_EXAMPLES = "state of a training", "examples of a training"
OPTIMISER_STATE, ITERATION_CHECKPOINTS = "optimiser of PPO", "checkpoints"


def freeable_in_run(run: Run) -> Iterator[Freeable]:
    """Yield what the finished iterations of a run no longer need. A run under way has nothing to free."""
    if run.is_under_way:
        return
    yield from freeable_in_iterations(run)
    for number in sorted(set(run.iterations()) - run.done()):
        for left in sorted(run.iteration(number).glob("*.examples")):
            if left.is_dir() and not left.is_symlink() and flaw_of(left.with_name(left.stem)) is not None:
                yield _freeable(left, TRAINING_EXAMPLES, tuple(files_below(left)))


def freeable_in_iterations(run: Run) -> Iterator[Freeable]:
    """Yield what the finished iterations of a run no longer need, also while it is under way."""
    for number in sorted(run.done()):
        folder = run.iteration(number)
        if not folder.is_dir() or folder.is_symlink():
            continue
        yield from freeable_beside_models(folder)
        checkpoints = folder / CHECKPOINTS
        if checkpoints.is_dir() and not checkpoints.is_symlink() and flaw_of(run.model(number)) is None:
            yield _freeable(checkpoints, ITERATION_CHECKPOINTS, tuple(files_below(checkpoints)))


def freeable_beside_models(folder: Path) -> Iterator[Freeable]:
    """Yield what the trainings that have ended with a whole model in `folder` no longer need."""
    for model in sorted(folder.iterdir()):
        if model.is_symlink() or not model.is_dir() or flaw_of(model) is not None:
            continue
        for left, what in ((work_of(model), TRAINING_STATE), (examples_path(model), TRAINING_EXAMPLES)):
            if left.is_dir() and not left.is_symlink():
                yield _freeable(left, what, tuple(files_below(left)))
        kept = model.with_name(f"{model.name}.checkpoints")
        for step in sorted(kept.iterdir()) if kept.is_dir() and not kept.is_symlink() else ():
            files = tuple(path for name in ONLY_FOR_TRAINING if (path := step / name).is_file())
            if STEP.fullmatch(step.name) and files:
                yield _freeable(step, OPTIMISER_STATE, files)


def files_below(folder: Path) -> Iterator[Path]:
    """Yield every file below `folder`. Links are not followed, and a folder that cannot be read has none."""
    for parent, _, names in os.walk(folder, followlinks=False):
        yield from (Path(parent) / name for name in names)


def n_bytes_of(files: Iterator[Path] | tuple[Path, ...]) -> int:
    """Return the bytes of files, each of which counts once, however many names it has."""
    sizes: dict[tuple[int, int], int] = {}
    for path in files:
        try:
            status = path.lstat()
        except OSError:  # it has just gone
            continue
        sizes[status.st_dev, status.st_ino] = status.st_size
    return sum(sizes.values())


def _freeable(path: Path, what: str, files: tuple[Path, ...]) -> Freeable:
    names: dict[tuple[int, int], list[Path]] = {}
    for file in files:
        try:
            status = file.lstat()
        except OSError:
            continue
        names.setdefault((status.st_dev, status.st_ino), []).append(file)
    gone = tuple(paths[0] for paths in names.values() if paths[0].lstat().st_nlink <= len(paths))
    return Freeable(path, what, files, n_bytes_of(gone))
