"""Browse judged preference pairs: a table, and the prompt with both answers side by side.

python -m tui                                     the newest run's last pairs
python -m tui demo                                the last pairs of runs/demo; a run's folder or runs/demo/iter2 do too
python -m tui pairs.jsonl                         a file of pairs
python -m tui pairs.json.gz --json                the table as JSON, without the screen
python -m tui demo --screenshot pairs.svg         a picture of the screen with the first pair selected

A file of pairs has this project's rows, TRL's, or two outputs with a label, as JSONL, JSON, CSV (each also .gz) or
Parquet. Press ? on the screen for its keys.
"""

import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from console.command import Flags, Given, run
from console.errors import InputError
from console.output import tell
from console.writing import OutFile

if TYPE_CHECKING:
    from tui.query import PairList


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Browse judged preference pairs."""

    source: Given = None
    """A run, an iteration's folder or a file of pairs; the default is the newest run."""
    codes: str | None = None
    """What the labels of two answers mean, like 0=a,1=b,2=tie, a being the first; 1, 2, a, b and tie need none."""
    screenshot: OutFile | None = None
    """Write a picture of the screen, 120 by 40, to this .svg file and stop."""


def main(config: Config) -> None:
    """Load the pairs, then open the screen; wrong input ends the command before the screen opens."""
    from records.fields.labels import given_codes
    from tui.query import find_pairs, load_pairs

    if config.screenshot is not None and config.screenshot.suffix.lower() != ".svg":
        raise InputError(f"--screenshot {config.screenshot}: the file must end in .svg")
    codes = given_codes(config.codes)
    pairs = load_pairs(find_pairs(config.source), strict=config.strict, codes=codes)
    if config.json or config.dry_run:
        _print_rows(pairs, as_json=config.json, only_counts=config.dry_run)
        return
    if config.screenshot is not None:
        from tui.app import write_screenshot

        write_screenshot(pairs, config.screenshot)
        tell(f"screenshot: {config.screenshot}")
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InputError("the screen needs a terminal; use --json to print the table, or --screenshot PATH.svg")
    from tui.app import PairsApp

    PairsApp(pairs).run()


def _print_rows(pairs: "PairList", *, as_json: bool, only_counts: bool) -> None:
    from console.table import print_table

    if only_counts:
        print_table([{"file": pairs.source, "pairs": len(pairs.rows), "bad rows": pairs.n_bad}], as_json=as_json)
    else:
        print_table([asdict(row) for row in pairs.rows], as_json=as_json)


if __name__ == "__main__":
    run(Config, main, "python -m tui")
