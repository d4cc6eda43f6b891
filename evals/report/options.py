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
    push: str | None = None
    """Upload a model of the run with its card to the hub, as USER/NAME. The token is that of HF_TOKEN or hf auth login.
    With --dry-run: show the files and the card."""
    iteration: str | None = None
    """The iteration to upload, or best. The default is the last."""
    public: bool = False
    """Make the repository public."""
    update: bool = False
    """Add a commit if the repository is there already."""
    base_model: str | None = None
    """The base model's name on the hub, if the run began with a folder."""
    licence: str | None = None
    """The licence of the base model, such as apache-2.0. The default is what the hub says."""
