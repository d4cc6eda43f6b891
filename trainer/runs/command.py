"""Prints the runs, and cleans them."""

from pathlib import Path
from textwrap import wrap
from typing import Any

import msgspec

from console.output import say, tell, tell_json
from console.table import WIDTH, Cell, print_table
from records.runs import RUNS
from trainer.runs.overview import Overview, overviews

MB = 1e6


def list_runs(folders: list[Path], *, clean: bool, dry_run: bool, as_json: bool) -> None:
    """Print what runs there are. With `clean` remove what no resume needs, or only name it in a dry run."""
    if not folders and not RUNS.is_dir():
        say(f"there is no {RUNS}/ here; make a run with: python -m trainer.loop --config recipes/demo.toml")
    shown = list(overviews(folders or ([RUNS] if RUNS.is_dir() else [])))
    if clean and not dry_run:
        for part in (part for row in shown for part in row.freeable):
            part.clean()
    if as_json:
        tell_json(msgspec.json.encode({"runs": [_facts(row) for row in shown], "cleaned": clean and not dry_run}))
        return
    if shown:
        print_table([_row(row) for row in shown])
    _tell_numbers(shown)
    _tell_freed(shown, clean=clean, dry_run=dry_run)


def _row(row: Overview) -> dict[str, Cell]:
    wanted = "" if row.n_wanted is None else f" of {row.n_wanted}"
    last = next(reversed(row.by_iteration.values()), None)
    return {
        "run": str(row.folder),
        "kind": row.kind,
        "iterations": None if row.n_done is None else f"{row.n_done}{wanted}",
        "state": row.state if row.doing is None else f"{row.state}, {row.doing}",
        "last result": None if last is None else f"{row.figure} {last:.4g}",
        "MB": round(row.n_bytes / MB, 1),
        "could free, MB": round(row.n_freeable / MB, 1),
    }


def _tell_numbers(shown: list[Overview]) -> None:
    """Print the numbers of all iterations, and which of them is the best, of each run that has several."""
    several = [row for row in shown if len(row.by_iteration) > 1 and row.kind != "training"]
    if several:
        tell("")
    for row in several:
        numbers = ", ".join(f"{name} {value:.4g}" for name, value in row.by_iteration.items())
        best = "" if row.best is None else f"; the best is {row.best.iteration}, or --model {_name(row.folder)}/best"
        line = f"{row.folder}: {row.figure}: {numbers}{best}"
        tell(*wrap(line, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False))


def _name(run: Path) -> str:
    """Return the name by which commands find a run: its folder's, if that is in runs/, or else its path."""
    return run.name if run.absolute().parent == RUNS.absolute() else str(run)


def _tell_freed(shown: list[Overview], *, clean: bool, dry_run: bool) -> None:
    parts = [part for row in shown for part in row.freeable]
    if not parts:
        tell("", "nothing could be freed")
        return
    done = clean and not dry_run
    tell("", "removed:" if done else "could be freed, since no resume needs it:")
    tell(*(f"  {part.path}  {part.what}, {part.n_bytes / MB:.1f} MB" for part in parts))
    total = sum(part.n_bytes for part in parts) / MB
    tell(f"{total:.1f} MB freed" if done else f"{total:.1f} MB in all; --clean removes it")


def _facts(row: Overview) -> dict[str, Any]:
    return {
        "folder": str(row.folder),
        "kind": row.kind,
        "state": row.state,
        "iterations_done": row.n_done,
        "iterations_wanted": row.n_wanted,
        "doing": row.doing,
        "figure": row.figure,
        "by_iteration": row.by_iteration,
        "best": None if row.best is None else row.best.iteration,
        "bytes": row.n_bytes,
        "freeable": [{"path": str(part.path), "what": part.what, "bytes": part.n_bytes} for part in row.freeable],
    }
