"""Shared parts of experiments with several arms and seeds: which to run, and the store of results."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from console.errors import InputError, JudgeError, TrainingError
from console.output import tell, tell_json, tell_text
from console.progress import say
from console.table import Cell, print_table, screen_width
from records import Store, read_rows
from records.keys import content_key
from records.rows import Identified, Row
from records.store import set_aside

RowT = TypeVar("RowT", bound=Identified)
ArmAndSeed = tuple[str, int]
Table = tuple[list[dict[str, Cell]], str]
"""The rows of a table, and the words below it."""


class About(Protocol):
    """An arm with its description."""

    @property
    def about(self) -> str:
        """The arm in one line."""


class ManyArms(Protocol):
    """The flags of an experiment with arms."""

    @property
    def arms(self) -> str:
        """The names of the arms, separated by commas."""

    @property
    def seed(self) -> int:
        """The first seed."""

    @property
    def seeds(self) -> int:
        """The number of seeds."""

    @property
    def out(self) -> Path:
        """The folder for models, rows and results."""

    @property
    def fresh(self) -> bool:
        """Whether existing results are set aside."""

    @property
    def json(self) -> bool:
        """Whether the output is JSON."""


def wanted(config: ManyArms, known: Mapping[str, Any]) -> list[ArmAndSeed]:
    """Return every requested arm with every seed, all arms of a seed together.

    Raises InputError for an unknown arm, or for fewer than one seed.
    """
    names = config.arms.split(",")
    if unknown := [name for name in names if name not in known]:
        raise InputError(f"no arm '{unknown[0]}'; there are {', '.join(known)}")
    if config.seeds < 1:
        raise InputError(f"--seeds must be at least 1, not {config.seeds}")
    # seeds outermost, so that an interrupted experiment has whole comparisons
    return [(name, seed) for seed in range(config.seed, config.seed + config.seeds) for name in names]


def print_plan(
    config: ManyArms, ids: Mapping[ArmAndSeed, str], row_type: type[Identified], known: Mapping[str, About]
) -> None:
    """Print the arms that would be run, with the seeds that have no result yet."""
    there = {} if config.fresh else _by_id(config, row_type)
    left: dict[str, list[int]] = {name: [] for name, _ in ids}
    for (name, seed), row_id in ids.items():
        left[name] += [] if row_id in there else [seed]
    rows: list[dict[str, Cell]] = [
        {"arm": name, "about": known[name].about, "seeds": " ".join(map(str, seeds))} for name, seeds in left.items()
    ]
    print_table(rows, as_json=config.json)
    n = sum(map(len, left.values()))
    say(f"would run {n} of {len(ids)}, an arm with a seed each, into {config.out}")


def print_results(results: Sequence[Row], tables: Sequence[Table], *, as_json: bool) -> None:
    """Print the tables, or the results themselves as JSON."""
    if as_json:
        tell_json(msgspec.json.encode(results))
        return
    for place, (rows, words) in enumerate(tables):
        if place:
            tell()
        print_table(rows)
        tell()
        tell_text(textwrap.fill(" ".join(words.split()), screen_width(), break_on_hyphens=False))


def run_missing(
    config: ManyArms, ids: Mapping[ArmAndSeed, str], row_type: type[RowT], run_one: Callable[[str, int, str], RowT]
) -> list[RowT]:
    """Return the results with these ids, running those that are not in OUT/results.jsonl.

    An arm that finds nothing to learn from, or whose judge gives no verdicts, is reported and left out. Raises
    TrainingError if no arm is left.
    """
    if config.fresh:
        set_aside(config.out)
    with Store(_results(config), row_type) as store:
        for (name, seed), row_id in ids.items():
            if row_id in store:
                continue
            say(f"seed {seed}: {name}")
            try:
                store.append(run_one(name, seed, row_id))
            except (TrainingError, JudgeError) as error:  # the other arms are still worth running
                say(f"seed {seed}: {name} has no result: {error}")
        if results := list(store.chosen(ids.values())):
            return results
    raise TrainingError("no arm has a result; the reason for each is above")


def stored(config: ManyArms, ids: Mapping[ArmAndSeed, str], row_type: type[RowT]) -> list[RowT]:
    """Return those of the results with these ids that are in OUT/results.jsonl. Nothing is run or written.

    Raises InputError if none is there.
    """
    file, by_id = _results(config), _by_id(config, row_type)
    results = [by_id[row_id] for row_id in ids.values() if row_id in by_id]
    if not results:
        raise InputError(f"{file}: no result of these arms, seeds and settings")
    say(f"{file}: {len(results)} of {len(ids)} results are there")
    return results


def _results(config: ManyArms) -> Path:
    return config.out / "results.jsonl"


def _by_id(config: ManyArms, row_type: type[RowT]) -> dict[str, RowT]:
    file = _results(config)
    return {row.id: row for row in read_rows(file, row_type)} if file.exists() else {}


def seed_folder(config: ManyArms, size: object, seed: int) -> Path:
    """Return the folder of a seed. Another size is another experiment, which must reuse nothing."""
    return config.out / content_key(size) / f"seed{seed}"
