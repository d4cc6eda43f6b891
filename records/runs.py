"""The files of a run, ways to find one, and names of its iterations such as `demo/best`.

runs/<run>/run.toml  ledger.jsonl  eval/  iterN/{prompts,responses,judgments,pairs}.jsonl  iterN/model/
iterN/metrics.json  curve.png
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from console.errors import InputError
from console.output import say
from console.reading import read_file, read_toml
from console.writing import make_folder
from records.disk.locked import in_use
from records.names import checked_name

RUNS = Path("runs")
ITERATION = re.compile(r"iter(\d+)")
RLP_ITERATIONS = 3
"""trainer.rlp always makes three."""
SHARE, SCORE, RATE = "does what is asked, %", "mean score", "win rate, %"
EVEN = 50.0
"""The win rate of iter0 against itself."""
BEST = "best"
IN_RUN = re.compile(r"(?:(?P<run>.+)/)?(?P<iteration>best|iter\d+)")
DAMAGED = "the settings of the run cannot be read"
RESTORE = "restore the file, or start again with --fresh or another --name"


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
        """Return the folder of iteration `number`. 0 is the base model."""
        return self.folder / f"iter{number}"

    def model(self, number: int) -> Path:
        """Return the folder of the model that iteration `number` ends with."""
        return self.iteration(number) / "model"

    def iterations(self) -> list[int]:
        """Return the numbers of the iterations that have a folder, ascending."""
        matches = (ITERATION.fullmatch(path.name) for path in self.folder.iterdir() if path.is_dir())
        return sorted(int(match[1]) for match in matches if match)

    def done(self) -> set[int]:
        """Return the numbers of the iterations in the ledger. Damaged lines are skipped."""
        numbers = set()
        for line in read_file(self.ledger).splitlines() if self.ledger.is_file() else ():
            try:
                match = ITERATION.fullmatch(msgspec.json.decode(line, type=_Line).id)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
            numbers |= {int(match[1])} if match else set()
        return numbers

    def newest(self, name: str, *, grows: bool = True) -> Path | None:
        """Return the file `name` of the last iteration that has one, or None.

        A file that grows while it is made is taken from an iteration that is done, if there is one.
        """
        done = self.done() if grows else None
        # With nothing done yet (an empty set) a file that still grows is better than none.
        numbers = [number for number in self.iterations() if number in done] if done else self.iterations()
        files = (self.iteration(number) / name for number in reversed(numbers))
        return next((file for file in files if file.exists()), None)

    @property
    def is_under_way(self) -> bool:
        """Return whether a process is at work on the run now."""
        return in_use(self.ledger)

    @property
    def is_finished(self) -> bool:
        """Return whether every iteration of the settings is done, or True if the settings do not name a number."""
        try:
            settings = read_settings(self)
        except InputError:
            return False
        wanted = settings.get("iterations", RLP_ITERATIONS if "rlp" in settings else None)
        return not isinstance(wanted, int) or set(range(1, wanted + 1)) <= self.done()


class _Line(msgspec.Struct):
    id: str


def named_run(name: str, what: str = "--name") -> Run:
    """Return the run called `name`, which need not exist yet.

    Raises InputError if the name is not a plain one, or its folder is there and holds something else.
    """
    run = Run(RUNS / checked_name(name, what))
    is_run = run.config.exists() or run.ledger.exists()
    if run.folder.exists() and not is_run and (run.folder.is_file() or any(run.folder.iterdir())):
        raise InputError(f"{what} '{name}': {run.folder} exists and is no run: it has no run.toml; give another name")
    return run


def read_settings(run: Run) -> dict[str, Any]:
    """Return the settings that a run was made with, none for an empty run.toml.

    Raises InputError, naming the file and the line, if it is damaged.
    """
    try:
        table = read_toml(run.config)
    except InputError as error:
        reason = str(error).removeprefix(f"{run.config}: ")
        raise InputError(f"{run.config}: {DAMAGED}: {reason}; {RESTORE}") from None
    settings = table.get("settings", {})
    if not isinstance(settings, dict) or (table and not settings):
        raise InputError(f"{run.config}: {DAMAGED}: it has no [settings]; {RESTORE}")
    return settings


def find_run(name: str | None = None) -> Run:
    """Return the run called `name` (a name under runs/ or a path), or the newest one. Raises InputError if none."""
    if name is not None:
        for folder in (Path(name), RUNS / name):
            if name.strip() and (folder / "run.toml").exists():
                return Run(folder)
        raise InputError(f"no run '{name}': neither {name} nor {RUNS / name} holds a run.toml{_known()}")
    run = newest_run()
    if run is None and (others := _known()):  # there are runs, and `newest_run` leaves out those under way
        raise InputError(f"every run in {RUNS}/ is under way: wait, or name one with --run{others}")
    if run is None:
        raise InputError(f"no run in {RUNS}/ yet; make one with: python -m trainer.loop --config recipes/demo.toml")
    return run


def newest_run() -> Run | None:
    """Return the run that was worked on last, printing its name if there are several, or None if there is none.

    A run that a process is at work on is left out, and so is one that was stopped, as long as another one is finished.
    """
    runs = sorted((Run(path.parent) for path in RUNS.glob("*/run.toml")), key=_worked_on_ns, reverse=True)
    at_rest = [run for run in runs if not run.is_under_way]
    chosen = next((run for run in at_rest if run.is_finished), at_rest[0] if at_rest else None)
    if chosen is not None and len(runs) > 1:
        later = "".join(f"; {run.folder} is {_state(run)}" for run in runs[: runs.index(chosen)])
        say(f"the newest run: {chosen.folder}{later}")
    return chosen


def _state(run: Run) -> str:
    if run.is_under_way:
        return "under way"
    try:
        read_settings(run)
    except InputError as error:
        return f"damaged: {error}"
    return "not finished"


def _worked_on_ns(run: Run) -> int:
    """Return when an iteration of the run was done last, or else when it was begun."""
    return max(path.stat().st_mtime_ns for path in (run.config, run.ledger) if path.exists())


def _known() -> str:
    names = sorted(path.parent.name for path in RUNS.glob("*/run.toml"))
    return f". Found: {', '.join(names)}" if names else ""


def link_base_model(run: Run, base: Path) -> None:
    """Make iter0/model a link to the base model, because a copy of the weights would only take space."""
    link = run.model(0)
    if link.exists():
        return
    make_folder(link.parent)
    link.unlink(missing_ok=True)  # a link whose target is gone
    link.symlink_to(base.resolve(), target_is_directory=True)


@dataclass(frozen=True)
class Best:
    """The iteration with the highest figure, the earlier of two that are equal."""

    iteration: str
    figure: str
    value: float


def figures_of_run(run: Run) -> tuple[str | None, dict[str, float]]:
    """Return the name of the first figure that all measured iterations have, and its values by iteration.

    The order is: the share of answers that do what is asked, the win rate against iter0, the mean score.
    """
    rows = {f"iter{number}": _metrics(run.iteration(number) / "metrics.json") for number in run.iterations()}
    measured = {name: row for name, row in rows.items() if row}
    for figure in (SHARE, RATE, SCORE):
        numbers = {name: row[figure] for name, row in measured.items() if figure in row}
        least = len(measured) - (figure == RATE)  # iter0 is not compared with itself
        if numbers and len(numbers) >= least:
            return figure, numbers
    return None, {}


def best_of_run(run: Run) -> Best | None:
    """Return the best iteration of a run, or None if none was measured."""
    figure, numbers = figures_of_run(run)
    if figure is None:
        return None
    if figure == RATE:
        numbers = {"iter0": EVEN} | numbers
    best = max(numbers, key=numbers.__getitem__)
    return Best(best, figure, numbers[best])


def named_in_run(name: str, run: str | None) -> tuple[str, str | None]:
    """Return the iteration and the run that `best`, `demo/best` or `demo/iter2` name, and other names as they are.

    `run` is the run of a name without one; the default is the newest. Says which iteration is the best, and by what.
    Raises InputError if no iteration was measured, or `run` is another than the one in the name.
    """
    match = IN_RUN.fullmatch(name)
    if match is None or name == match["iteration"] != BEST or (name == BEST and Path(name).is_dir()):
        return name, run
    if match["run"] is not None:
        if not any((folder / "run.toml").exists() for folder in (Path(match["run"]), RUNS / match["run"])):
            return name, run  # a model of the hub
        if run is not None and find_run(run).folder.resolve() != find_run(match["run"]).folder.resolve():
            raise InputError(f"--model {name} and --run {run} name two runs: leave out --run")
    found = find_run(match["run"] or run)
    if match["iteration"] != BEST:
        return match["iteration"], str(found.folder)
    best = best_of_run(found)
    if best is None:
        raise InputError(f"--model {name}: no iteration of {found.folder} was measured yet; name one, such as iter1")
    _say_best(f"the best iteration of {found.folder} is {best.iteration}: {best.figure} {best.value:.4g}")
    return best.iteration, str(found.folder)


@cache  # once, although a command may name it in several places
def _say_best(line: str) -> None:
    say(line)


def _metrics(path: Path) -> dict[str, float]:
    try:
        table: Any = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    follows = _inside(table, "following", "follows", "value")
    values = {
        SHARE: None if follows is None else 100 * follows,
        RATE: _inside(table, "win_rate", "percent"),
        SCORE: _inside(table, "mean_score"),
    }
    return {name: value for name, value in values.items() if value is not None}


def _inside(table: Any, *names: str) -> float | None:
    for name in names:
        table = table.get(name) if isinstance(table, dict) else None
    return float(table) if isinstance(table, int | float) else None
