"""Trackers that show a training while it runs: Trackio, Weights & Biases, TensorBoard (through accelerate).

A tracker never ends a training. If it is not installed, not logged in, or fails later, that is said once, and the
training goes on without it.
"""

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from accelerate.tracking import LOGGER_TYPE_TO_CLASS

from console.progress import say
from trainer.training.metrics.options import ReportTo

PROJECT = "judgeloop"


def tensorboard_folder(out: Path) -> Path:
    """Return the folder of TensorBoard's files of the training that makes `out`."""
    return out.with_name(f"{out.name}.tensorboard")


class Tracker:
    """One tracker, or none."""

    def __init__(self, kind: ReportTo, out: Path) -> None:
        self.kind = kind
        self._tracker: Any = None
        if kind == "none":
            return
        if find_spec(kind) is None:
            say(f"--report-to {kind}: {kind} is not installed (pip install {kind}); the training goes on without it")
            return
        self._try("begin", lambda: self._begin(out))

    def _begin(self, out: Path) -> None:
        name = str(out)
        if self.kind == "tensorboard":
            tracker = LOGGER_TYPE_TO_CLASS["tensorboard"](".", tensorboard_folder(out))
        elif self.kind == "wandb" and not sys.stdin.isatty():
            # a question to nobody would wait for ever
            tracker = LOGGER_TYPE_TO_CLASS["wandb"](PROJECT, name=name, settings={"silent": True})
        else:
            tracker = LOGGER_TYPE_TO_CLASS[self.kind](PROJECT, name=name)
        tracker.start()
        self._tracker = tracker

    def log(self, row: Mapping[str, float], step: int) -> None:
        """Show the figures of a step."""
        if self._tracker is not None:
            self._try("log", lambda: self._tracker.log(dict(row), step=step))

    def finish(self) -> None:
        """End the tracker's run."""
        if self._tracker is not None:
            # by trackio's own function its run is over, and at the end of the process it is not ended again
            end = sys.modules["trackio"].finish if "trackio" in sys.modules and self.kind == "trackio" else None
            self._try("finish", end or self._tracker.finish)
        self._tracker = None

    def _try(self, what: str, do: Any) -> None:
        try:
            with redirect_stdout(sys.stderr):  # trackers print, and stdout is for results
                do()
        except Exception as error:  # a tracker may raise anything, and none of it matters to the model
            self._tracker = None
            reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            say(f"--report-to {self.kind}: it failed to {what}: {reason}; the training goes on without it")
