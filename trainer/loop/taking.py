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
from records.runs import Run, find_run, read_settings
from trainer.early_stop.options import PROMPTS
from trainer.loop.recipe import Config, named_iteration, taken_number
from trainer.runs.integrity import check_hashes
from trainer.runs.ledger import LedgerLine
from trainer.training.lora.folder import relinked

NOT_TAKEN = shutil.ignore_patterns("metrics.json", "checkpoints", "*.state", "*.tmp")
"""The iterations are measured anew, because the held-out prompts and the judge may be others."""


def origin_of(run: Run, config: Config, *, fresh: bool) -> Run | None:
    """Return the run whose iterations `run` still has to take, or None if there is none.

    With `fresh` it has none yet. Raises InputError if that run has no such iteration, is this one, or has another base.
    """
    number = taken_number(config)
    wanted = set(range(1, number + 1))
    if not config.from_iteration or (wanted <= run.done() and not fresh):
        return None
    source = find_run(named_iteration(config.from_iteration)[0])
    if source.folder.resolve() == run.folder.resolve():
        raise InputError(f"--from-iteration {config.from_iteration}: that is this run: give the new one another --name")
    settings = read_settings(source)
    if "rlp" in settings:
        raise InputError(f"--from-iteration {config.from_iteration}: {source.folder} is a run of trainer.rlp")
    if missing := sorted(wanted - source.done()):
        there = ", ".join(f"iter{done}" for done in sorted(source.done())) or "none"
        raise InputError(f"--from-iteration: iter{missing[0]} is not in {source.ledger}. Finished: {there}")
    base = settings.get("engine", {}).get("model")
    if base != config.engine.model:
        raise InputError(
            f"--from-iteration: {source.folder} began with {base}, and --model is {config.engine.model}: give the same"
        )
    return source


def prompts_before(run: Run, config: Config) -> set[str]:
    """Return the texts of the prompts that the iterations taken by `run` have learnt from, or were chosen by."""
    texts = set()
    for number in range(1, taken_number(config) + 1):
        folder = run.iteration(number)
        for path in (folder / "prompts.jsonl", folder / "early_stop" / PROMPTS):
            texts |= {request_text(row.prompt) for row in read_rows(path, Prompt)} if path.exists() else set()
    return texts


def take_iterations(run: Run, source: Run, config: Config, ledger: Store[LedgerLine]) -> None:
    """Take the iterations of `source` into `run` that its ledger lacks. Files are linked, so that they take no space.

    Raises InputError if a file of `source` has changed since its iteration was finished.
    """
    lines = {line.id: line for line in read_rows(source.ledger, LedgerLine)}
    number = taken_number(config)
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
