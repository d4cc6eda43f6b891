"""The flags of evals.report."""

from dataclasses import dataclass

import tyro

from console.command import Flags
from console.writing import OutFolder


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Write a page about a run, or about two side by side."""

    runs: tyro.conf.Positional[tuple[str, ...]] = ()
    """One run or two: names in runs/, or folders. The default is the newest run."""
    out: OutFolder | None = None
    """The folder of report.html, report.md and the model card. The default is runs/<run>/report, or
    runs/<run>/report-<other run> for two."""
