"""List the runs: what is done and under way, each iteration's result, the size on disk, and what could be freed.

python -m trainer.runs                     all of runs/
python -m trainer.runs runs/demo other/    one run, and those in another folder
python -m trainer.runs runs/demo/iter2     one iteration
python -m trainer.runs --clean             remove what no resume needs, and say how much that was
python -m trainer.runs --clean --dry-run   only name it

Of a finished iteration or training, --clean removes the saved state, the optimiser in PPO's checkpoints, and the
checkpoints that early stopping chose from. Of an unfinished one it removes the tokenised examples of a killed training,
which are made again. Models, answers, judgments and pairs stay, and a run under way is left alone.
"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from console.command import Flags, run


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """List the runs."""

    folders: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Runs, or folders of runs. The default is runs/."""
    clean: bool = False
    """Remove what no resume needs."""


def main(config: Config) -> None:
    """Print the table, and with --clean remove what could be freed."""
    from trainer.runs.command import list_runs

    list_runs(list(config.folders), clean=config.clean, dry_run=config.dry_run, as_json=config.json)


if __name__ == "__main__":
    run(Config, main, "python -m trainer.runs")
