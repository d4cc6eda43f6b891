"""The contents of a folder of runs: each run with its iterations, its state, its figures and its size.

Nothing here raises for a torn or foreign folder. It is named with the reason instead.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from console.errors import InputError
from console.output import counted
from records.runs import ITERATION, RLP_ITERATIONS, RUNS, Best, Run, best_of_run, figures_of_run, read_settings
from trainer.runs.freeable import Freeable, files_below, freeable_beside_models, freeable_in_run, n_bytes_of
from trainer.training.checkpoints import flaw_of
from trainer.training.outcome import REPORT, Trained

STAGES = (
    ("model", "measuring"),
    ("model.state", "training"),
    ("model.examples", "training"),
    ("model.metrics.jsonl", "training"),
    ("pairs.jsonl", "training"),
    ("judgments.jsonl", "judging"),
    ("responses.jsonl", "answering"),
    ("prompts.jsonl", "answering"),
)
"""The files of an iteration, last first, and what comes next or is being made."""


EVALS = "evals"
KINDS = {
    EVALS: "evaluations",
    "scores": "judgments",
    "comparisons": "comparisons",
    "answers": "answers",
    "best_of": "answers",
    "clusters": "clusters",
    "attacks": "attacks",
    "audit": "judge reports",
    "rubrics": "rubrics",
    "serve": "judgments",
    "prompts": "prompts",
    "pairs": "pairs",
    "eft": "examples",
}
"""What commands write to runs/ by themselves, by the name of its folder."""


@dataclass(frozen=True)
class Overview:
    """One folder: a run, a training, or something else."""

    folder: Path
    kind: str
    """loop, rlp, iteration, training, model, empty, unreadable, one of KINDS, or other."""
    state: str
    """finished, under way, stopped, or damaged, with the reason."""
    n_done: int | None = None
    n_wanted: int | None = None
    doing: str | None = None
    """The unfinished iteration and its stage."""
    figure: str | None = None
    """The name of the number in `by_iteration`."""
    by_iteration: dict[str, float] = field(default_factory=dict)
    best: Best | None = None
    n_bytes: int = 0
    freeable: tuple[Freeable, ...] = ()

    @property
    def n_freeable(self) -> int:
        """The bytes that cleaning would free."""
        return sum(part.n_bytes for part in self.freeable)


def overviews(folders: list[Path]) -> Iterator[Overview]:
    """Yield what there is in each folder: the folder itself if it is a run or a part of one, or else each folder in it.

    Of a project's folder those in its runs/ are shown. Raises InputError if a folder is not there.
    """
    for folder in folders:
        if not folder.is_dir():
            what = "a file" if folder.exists() else "no such folder"
            raise InputError(f"{folder}: {what}; name a run, or a folder of runs")
        # `.` and `..` say nothing of what they are
        if (itself := overview(folder if folder.name.strip(".") else folder.resolve())).kind != "other":
            yield itself
            continue
        within = folder / RUNS if (folder / RUNS).is_dir() else folder
        yield from (overview(path) for path in sorted(within.iterdir()) if path.is_dir())


def is_run(folder: Path) -> bool:
    """Return whether a folder is a run's."""
    return (folder / "run.toml").exists() or (folder / "ledger.jsonl").exists()


def overview(folder: Path) -> Overview:
    """Return what a folder is. It is never an error."""
    try:
        if is_run(folder):
            return _of_run(Run(folder))
        return _of_part(Run(folder.parent), folder) if is_run(folder.parent) else _of_folder(folder)
    except (OSError, InputError) as error:
        return Overview(folder, "unreadable", f"cannot be read: {error}")


def _of_run(run: Run) -> Overview:
    done, wanted, kind = run.done(), None, "loop"
    try:
        settings = read_settings(run)
        kind = "rlp" if "rlp" in settings else "loop"
        given = settings.get("iterations", RLP_ITERATIONS if kind == "rlp" else None)
        wanted = given if isinstance(given, int) else None
        state = "finished" if wanted is None or set(range(1, wanted + 1)) <= done else "stopped"
    except InputError as error:
        state = f"damaged: {error}"
    if run.is_under_way:
        state = "under way"
    figure, numbers = figures_of_run(run)
    return Overview(
        run.folder,
        kind,
        state,
        len(done),
        wanted,
        _doing(run, done) if state in ("under way", "stopped") else None,
        figure,
        numbers,
        best_of_run(run),
        n_bytes_of(files_below(run.folder)),
        tuple(freeable_in_run(run)),
    )


def _of_part(run: Run, folder: Path) -> Overview:
    """Return what a folder in a run is: an iteration, or something that its run tells more about."""
    n_bytes = n_bytes_of(files_below(folder))
    match = ITERATION.fullmatch(folder.name)
    if match is None:
        return Overview(folder, "part", f"part of the run {run.folder}", n_bytes=n_bytes)
    done, (figure, numbers) = run.done(), figures_of_run(run)
    is_done = int(match[1]) in done | {0}
    return Overview(
        folder,
        "iteration",
        "finished" if is_done else "under way" if run.is_under_way else "stopped",
        doing=None if is_done else _doing(run, done),
        figure=figure,
        by_iteration={name: value for name, value in numbers.items() if name == folder.name},
        n_bytes=n_bytes,
        freeable=tuple(part for part in freeable_in_run(run) if folder in part.path.parents),
    )


def _doing(run: Run, done: set[int]) -> str:
    number = max(done, default=0) + 1
    if not run.iteration(number).is_dir():
        return f"iter{number} is next"
    names = {path.name for path in run.iteration(number).iterdir()}
    stage = next((stage for name, stage in STAGES if name in names), "answering")
    return f"iter{number}: {stage}"


def _of_folder(folder: Path) -> Overview:
    """Return what a folder without a run is: trainings, nothing, or something else."""
    inside = sorted(folder.iterdir())
    n_bytes = n_bytes_of(files_below(folder))
    if not inside:
        return Overview(folder, "empty", "empty")
    if flaw_of(folder) is None:
        by_name = {} if (loss := _loss(folder)) is None else {folder.name: loss}
        return Overview(folder, "model", "finished", figure="loss", by_iteration=by_name, n_bytes=n_bytes)
    models = [path for path in inside if path.is_dir() and flaw_of(path) is None]
    going = [path for path in inside if path.suffix in (".state", ".examples") and path.is_dir()]
    stopped = [path.stem for path in going if not path.with_name(path.stem).exists()]
    if not models and not stopped and folder.name in KINDS:
        return Overview(folder, KINDS[folder.name], _contents(folder, inside), n_bytes=n_bytes)
    if not models and not stopped:
        return Overview(folder, "other", f"no run and no model: {counted(len(inside), 'items')}", n_bytes=n_bytes)
    losses = {model.name: one for model in models if (one := _loss(model)) is not None}
    state = "stopped or under way" if stopped else "finished"
    doing = f"{stopped[0]}: training" if stopped else None
    freeable = tuple(freeable_beside_models(folder))
    return Overview(
        folder, "training", state, doing=doing, figure="loss", by_iteration=losses, n_bytes=n_bytes, freeable=freeable
    )


def _contents(folder: Path, inside: list[Path]) -> str:
    """Return how much there is in a folder of results, and which is the newest."""
    if folder.name == EVALS:
        results = [path for model in inside if model.is_dir() for path in sorted(model.iterdir()) if path.is_dir()]
        names = list(dict.fromkeys(path.name for path in results))
        models = list(dict.fromkeys(path.parent.name for path in results))
        return f"{', '.join(names) or 'nothing'} of {', '.join(models) or 'no model'}"
    newest = max(inside, key=lambda path: path.lstat().st_mtime_ns)
    return f"{counted(len(inside), 'results')}, the newest is {newest.name}"


def _loss(model: Path) -> float | None:
    try:
        return msgspec.json.decode((model / REPORT).read_bytes(), type=Trained).loss
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
