"""Where a run keeps its files.

runs/<run>/run.toml  ledger.jsonl  eval/  iterN/{prompts,responses,judgments,pairs}.jsonl  iterN/model/
iterN/metrics.json
"""

import re
from dataclasses import dataclass
from pathlib import Path

from console.errors import InputError

RUNS = Path("runs")
ITERATION = re.compile(r"iter(\d+)")


@dataclass(frozen=True)
class Run:
    """The folder of one run."""

    folder: Path

    @property
    def config(self) -> Path:
        """The resolved settings and the versions that made the run."""
        return self.folder / "run.toml"

    @property
    def ledger(self) -> Path:
        """One line for each iteration that is done."""
        return self.folder / "ledger.jsonl"

    def iteration(self, number: int) -> Path:
        """Return the folder of iteration `number`; 0 is the base model."""
        return self.folder / f"iter{number}"

    def model(self, number: int) -> Path:
        """Return the folder of the model that iteration `number` ends with."""
        return self.iteration(number) / "model"

    def iterations(self) -> list[int]:
        """Return the numbers of the iterations that have a folder, ascending."""
        found = (ITERATION.fullmatch(path.name) for path in self.folder.iterdir() if path.is_dir())
        return sorted(int(match[1]) for match in found if match)

    def newest(self, name: str) -> Path | None:
        """Return the file `name` of the last iteration that has one, or None."""
        files = (self.iteration(number) / name for number in reversed(self.iterations()))
        return next((file for file in files if file.exists()), None)


def find_run(name: str | None = None) -> Run:
    """Return the run called `name` (a name under runs/ or a path), or the newest one; raises InputError if none."""
    if name is not None:
        for folder in (Path(name), RUNS / name):
            if (folder / "run.toml").exists():
                return Run(folder)
        raise InputError(f"no run '{name}': neither {name} nor {RUNS / name} holds a run.toml{_known()}")
    run = newest_run()
    if run is None:
        raise InputError(f"no run in {RUNS}/ yet; make one with: python -m trainer.loop --config recipes/demo.toml")
    return run


def newest_run() -> Run | None:
    """Return the run that was worked on last, or None where there is none."""
    configs = list(RUNS.glob("*/run.toml"))
    if not configs:
        return None
    return Run(max(configs, key=lambda path: path.stat().st_mtime).parent)


def _known() -> str:
    names = sorted(path.parent.name for path in RUNS.glob("*/run.toml"))
    return f". Found: {', '.join(names)}" if names else ""
