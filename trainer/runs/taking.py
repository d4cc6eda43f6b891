"""Begins a run with the first iterations of another run, which stays as it is."""

import os
import shutil
from pathlib import Path

import msgspec

from console.errors import InputError
from console.progress import say
from records import Prompt, Store, read_rows
from records.leftovers import temporary_folder
from records.rows import request_text
from records.runs import RUNS, Run, find_run, read_settings
from trainer.runs.integrity import check_hashes
from trainer.runs.ledger import LedgerLine
from trainer.training.lora.folder import relinked

NOT_TAKEN = shutil.ignore_patterns("metrics.json", "checkpoints", "*.state", "*.examples", "*.tmp")
"""The iterations are measured anew, because the held-out prompts and the judge may be others."""


def origin_of(run: Run, name: str, number: int, base: str, *, fresh: bool) -> Run | None:
    """Return the run called `name` if `run` still has to take its iterations up to `number`, or else None.

    With `fresh` it has none yet. Raises InputError if that run lacks one of them, is this one, or has another base
    model than `base`.
    """
    wanted, what = set(range(1, number + 1)), f"--from-iteration {name}/iter{number}"
    if run.folder.resolve() in (Path(name).resolve(), (RUNS / name).resolve()):
        raise InputError(f"{what}: that is this run: give the new one another --name")
    if wanted <= run.done() and not fresh:
        return None
    source = find_run(name)
    settings = read_settings(source)
    if "rlp" in settings:
        raise InputError(f"{what}: {source.folder} is a run of trainer.rlp")
    if missing := sorted(wanted - source.done()):
        there = ", ".join(f"iter{done}" for done in sorted(source.done())) or "none"
        raise InputError(f"{what}: iter{missing[0]} is not in {source.ledger}. Finished: {there}")
    if (before := settings.get("engine", {}).get("model")) != base:
        raise InputError(f"{what}: {source.folder} began with {before}, and --model is {base}: give the same")
    return source


def prompts_before(run: Run, number: int) -> set[str]:
    """Return the texts of the prompts that the iterations of `run` up to `number` learnt from, or were chosen by."""
    texts = set()
    for before in range(1, number + 1):
        folder = run.iteration(before)
        for path in (folder / "prompts.jsonl", folder / "early_stop" / "prompts.jsonl"):
            texts |= {request_text(row.prompt) for row in read_rows(path, Prompt)} if path.exists() else set()
    return texts


def take_iterations(run: Run, source: Run, number: int, ledger: Store[LedgerLine]) -> None:
    """Take the iterations of `source` up to `number` into `run`. Files are linked, so that they take no space.

    Those in the ledger of `run` are there already. Raises InputError if a file of `source` has changed since its
    iteration was finished.
    """
    lines = {line.id: line for line in read_rows(source.ledger, LedgerLine)}
    for taken in range(1, number + 1):
        if f"iter{taken}" in ledger:
            continue
        check_hashes(source, taken)
        if not run.iteration(taken).exists():
            _link(source.iteration(taken), run.iteration(taken))
        ledger.append(msgspec.structs.replace(lines[f"iter{taken}"], taken_from=str(source.folder)))
    which = "iter1 is that" if number == 1 else f"iter1 to iter{number} are those"
    say(f"{run.folder}: {which} of {source.folder}")


def _link(folder: Path, to: Path) -> None:
    partial = temporary_folder(to)
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(folder, partial, ignore=NOT_TAKEN, copy_function=_linked)
    relinked(partial / "model", to / "model")
    partial.rename(to)


def _linked(source: str, to: str) -> None:
    try:
        os.link(source, to)
    except OSError:  # another disk, or one without links
        shutil.copy2(source, to)
