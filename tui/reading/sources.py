"""The files that belong to what a person names: a run, an iteration's folder, or files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from console.errors import InputError
from records.runs import ITERATION, RUNS, Run, find_run, read_settings

VOTES = "votes.jsonl"
OF_ITERATION = ("judgments", "initial_judgments", "pairs", "comparisons", "meta_comparisons")
UNJUDGED = ("responses", "initial_responses")
"""Answers that are shown as long as there are no judgments on them, which hold the same texts."""


@dataclass(frozen=True)
class Source:
    """What is shown: a run with the files that it has at the moment, or files."""

    name: str
    run: Run | None
    given: tuple[Path, ...]
    votes: Path
    """The file of the votes, which need not exist."""
    parts: tuple["Source", ...] = ()
    """The runs, if several are shown together."""

    def part_of(self, path: Path) -> str:
        """Return the name of the run that a file is of, or nothing if only one is shown."""
        return next((part.name for part in self.parts if part.run and part.run.folder in path.parents), "")

    def votes_of(self, path: Path) -> Path:
        """Return the file of the votes on the rows of a file, which is in its own run if several are shown."""
        return next((part.votes for part in self.parts if part.run and part.run.folder in path.parents), self.votes)

    def run_of(self, path: Path) -> Run | None:
        """Return the run that a file is of, or None."""
        runs = [part.run for part in self.parts if part.run] or ([self.run] if self.run else [])
        return next((run for run in runs if run.folder in path.parents), None)

    def vote_files(self) -> list[Path]:
        """Return the files of the votes, the first run's first."""
        return list(dict.fromkeys([self.votes, *(part.votes for part in self.parts)]))

    def files(self) -> list[Path]:
        """Return the files that there are now."""
        if self.parts:
            return [path for part in self.parts for path in part.files()]
        if self.run is None:
            return list(self.given)
        only = [folder for folder in self.given if folder != self.run.folder]
        folders = only or [self.run.iteration(number) for number in self.run.iterations()]
        files = [path for folder in folders for path in _of_folder(folder)]
        if not only:
            held_out = sorted((self.run.folder / "eval").glob("iter*.jsonl"))
            files += [path for path in held_out if ITERATION.fullmatch(path.stem)]
            files += sorted((self.run.folder / "evals").glob("**/comparisons.jsonl"))
        return [path for path in files if path.is_file() and path.stat().st_size]

    def progress(self) -> str:
        """Return how far a run is that a process is at work on now, or nothing."""
        if self.run is None or not self.run.config.exists() or not self.run.is_under_way:
            return ""
        begun = max(self.run.iterations(), default=0)
        try:
            wanted = read_settings(self.run).get("iterations")
        except InputError:
            wanted = None
        return f"live: iter{begun} of {wanted}" if isinstance(wanted, int) else f"live: iter{begun}"


def _of_folder(folder: Path) -> list[Path]:
    judged = [folder / f"{name}.jsonl" for name in OF_ITERATION]
    bare = [folder / f"{name}.jsonl" for name in UNJUDGED]
    return [*judged, *(path for path in bare if not _judged(path).is_file())]


def _judged(responses: Path) -> Path:
    return responses.with_name(responses.name.replace("responses", "judgments"))


def find_source(given: Sequence[Path]) -> Source:
    """Return what `given` names: nothing for the newest run, a run, an iteration's folder, or files.

    Raises InputError if it names nothing, or runs and files together.
    """
    if not given:
        run = find_run()
        return _run_source(run)
    if len(given) == 1:
        found = _run_or_folder(given[0])
        if found is not None:
            return found
    else:
        parts = [None if path.is_file() else _run_or_folder(path) for path in given]
        runs = tuple(part for part in parts if part is not None)
        if len(runs) == len(given):
            name = " and ".join(part.name for part in runs)
            return Source(name, None, (), runs[0].votes, runs)
        if runs:
            raise InputError("several sources: name runs, or files, but not both")
    for path in given:
        if path.is_dir():
            raise InputError(f"{path}: is a folder without run.toml, judgments or pairs; name a run or a file")
    name = str(given[0]) if len(given) == 1 else f"{given[0]} and {len(given) - 1} more"
    return Source(name, None, tuple(given), given[0].with_name(VOTES))


def _run_source(run: Run) -> Source:
    return Source(str(run.folder), run, (run.folder,), run.folder / VOTES)


def _run_or_folder(given: Path) -> Source | None:
    for folder in (given, RUNS / given):
        if (folder / "run.toml").exists():
            return _run_source(find_run(str(given)))
        if folder.is_dir() and any(path.is_file() for path in _of_folder(folder)):
            run = Run(folder.parent)
            votes = (folder.parent if run.config.exists() else folder) / VOTES
            return Source(str(folder), run, (folder,), votes)
    named_like_a_run = (len(given.parts) == 1 and not given.suffix) or given.parts[:1] == RUNS.parts
    if named_like_a_run and not given.exists():
        find_run(str(given))  # raises, and names the existing runs
    return None
