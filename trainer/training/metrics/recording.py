"""Writes a row of figures per logged step beside the model while it is trained, and a picture of them at the end."""

import importlib
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec
from transformers import TrainerCallback

from console.writing import make_folder
from records.store import write_atomic
from trainer.training.metrics.options import ReportTo
from trainer.training.metrics.tracking import Tracker
from trainer.training.outcome import curves_path, metrics_path
from trainer.training.processes import is_first

STEP = "step"
LEFT_OUT = (STEP, "num_tokens")
"""TRL counts the tokens from 0 again when a training goes on."""
UNSHOWN = ("_runtime", "_per_second", "_num_tokens")
"""Endings of figures of a validation that say nothing of the model."""
Row = dict[str, float]


class Recorder:
    """The figures of a training, on disk and in a tracker. In every process but the first one it does nothing."""

    def __init__(self, out: Path, report_to: ReportTo) -> None:
        self.out, self.rows, self.report_to = out, list[Row](), report_to
        self._file: IO[bytes] | None = None
        self._tracker: Tracker | None = None

    def begin(self, rows: Iterable[Row]) -> None:
        """Start the file, with the rows of the steps before an interruption."""
        if not is_first():
            return
        self.rows = list(rows)
        path = metrics_path(self.out)
        make_folder(path.parent)
        write_atomic(path, b"".join(map(_line, self.rows)))  # the old file may have steps that are now made again
        self._file = path.open("ab")
        self._tracker = Tracker(self.report_to, self.out)

    def record(self, row: Row) -> None:
        """Add the figures of a step."""
        if self._file is None:
            return
        self.rows.append(row)
        self._file.write(_line(row))
        self._file.flush()
        if self._tracker is not None:
            self._tracker.log({name: value for name, value in row.items() if name != STEP}, int(row[STEP]))

    def draw(self) -> None:
        """Draw the curves, if there are several steps."""
        if self._file is None:
            return
        # matplotlib takes a part of a second to load
        picture = importlib.import_module("trainer.training.metrics.curves").draw(self.rows)
        if picture is not None:
            write_atomic(curves_path(self.out), picture)

    def end(self) -> None:
        """Close the file and the tracker's run."""
        if self._file is not None:
            self._file.close()
        if self._tracker is not None:
            self._tracker.finish()


@contextmanager
def recording(out: Path, report_to: ReportTo) -> Iterator[Recorder]:
    """Open a recorder for the training that makes `out`, and close it however the training ends."""
    recorder = Recorder(out, report_to)
    try:
        yield recorder
    finally:
        recorder.end()


def row_of(step: int, figures: Mapping[str, Any]) -> Row:
    """Return a row with all figures that are finite numbers."""
    numbers = {name: float(value) for name, value in figures.items() if isinstance(value, int | float)}
    finite = {name: value for name, value in numbers.items() if math.isfinite(value) and name not in LEFT_OUT}
    return {STEP: step, **finite}


def _line(row: Row) -> bytes:
    return msgspec.json.encode(row) + b"\n"


class History(TrainerCallback):  # type: ignore[misc]
    """Hands the logs of a transformers trainer to a recorder."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Begin with the logs of the steps before an interruption."""
        self.recorder.begin(row_of(log[STEP], log) for log in map(_shown, state.log_history) if log)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Record a step. The summary at the end of a training is none."""
        if shown := _shown(logs or {}):
            self.recorder.record(row_of(state.global_step, shown))


def _shown(log: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the figures of a step, or those of a validation under our name for it, or nothing."""
    if "eval_loss" not in log:
        return log if "loss" in log else {}
    names = [name for name in log if name.startswith("eval_") and not name.endswith(UNSHOWN)]
    return {STEP: log.get(STEP)} | {name.replace("eval_", "validation_", 1): log[name] for name in names}
