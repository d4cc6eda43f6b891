"""The report of making prompts: the counts in a file and in two tables, and the reason for too few prompts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from console.errors import InputError, TrainingError
from console.output import tell, tell_json
from console.progress import say
from console.table import Cell, print_table
from records.store import write_atomic
from trainer.prompts.pool import Counts

GROWS = ("n", "patience")
"""Settings that may grow between runs. A larger value makes the command continue."""
DIGEST = " digest"
"""The ending of the settings that hold the digest of a file's texts. Older reports have only the file's name."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of finished prompts and the settings that made them. It is written last."""

    out: str
    n: int
    """The number of prompts asked for."""
    counts: Counts
    settings: dict[str, Any]


def report_path(out: Path) -> Path:
    """Return the path of the report of the prompts in `out`."""
    return out.with_suffix(".report.json")


def write_report(report: Report) -> None:
    """Write the report beside the prompts."""
    write_atomic(report_path(Path(report.out)), msgspec.json.format(msgspec.json.encode(report)))


def finished(out: Path, settings: Mapping[str, Any]) -> Report | None:
    """Return the report of an earlier run that finished `out`, or None if there is more to do.

    Raises InputError if it was made with other settings, or if `out` exists without a report.
    """
    path = report_path(out)
    if not path.exists():
        if out.exists():
            raise InputError(f"{out} exists and has no {path.name}; give another --out, or --fresh to set it aside")
        return None
    try:
        report = msgspec.json.decode(path.read_bytes(), type=Report)
    except msgspec.DecodeError as error:
        raise InputError(f"{path}: not a report of this command: {error}; --fresh sets it aside") from None
    now = msgspec.to_builtins(settings)
    before = dict(report.settings)
    # A report of an earlier version has no digests, and is taken to be of the same texts.
    before |= {name: now[name] for name in now if name.endswith(DIGEST) and name not in before}
    changed = [name for name in sorted(now.keys() | before.keys()) if now.get(name) != before.get(name)]
    if changed and all(name in GROWS and now[name] > before[name] for name in changed):
        return None  # the stored completions are the first part of what is now asked for
    if changed:
        what = "; ".join(f"{name} was {before.get(name)!r}, now {now.get(name)!r}" for name in changed[:3])
        raise InputError(
            f"{out} was made with other settings: {what}. Give another --out, --refilter to filter its completions "
            "again, or --fresh to set it aside"
        )
    return report


def print_report(report: Report, *, as_json: bool) -> None:
    """Print the counts. Raises TrainingError, with the reasons of the drops, if there are too few prompts."""
    counts = report.counts
    if as_json:
        tell_json(msgspec.to_builtins(report))
    else:
        print_table([_row(counts)])
        if counts.dropped:
            tell()
            print_table(_dropped_rows(counts))
        tell("", report.out if counts.n_accepted else "no prompt: nothing is written")
    for task in counts.contaminated:
        say(f"dropped as an evaluation prompt ({task.how}): {task.task[:100]!r} ~ {task.evaluation_prompt[:100]!r}")
    if counts.n_accepted < report.n:
        raise TrainingError(_why_too_few(report))


def _row(counts: Counts) -> dict[str, Cell]:
    return {
        "completions": counts.n_completions,
        "failed": counts.n_failed,
        "without a list": counts.n_without_list,
        "answers cut": counts.n_answers,
        "tasks cut off": counts.n_cut_off,
        "tasks": counts.n_tasks,
        "dropped": sum(counts.dropped.values()),
        "new prompts": counts.n_accepted,
    }


def _dropped_rows(counts: Counts) -> list[dict[str, Cell]]:
    return [{"dropped": reason, "tasks": n, "share, %": 100 * n / counts.n_tasks} for reason, n in _most_first(counts)]


def _most_first(counts: Counts) -> list[tuple[str, int]]:
    return sorted(counts.dropped.items(), key=lambda item: (-item[1], item[0]))


def _why_too_few(report: Report) -> str:
    counts = report.counts
    dropped = ", ".join(f"{reason} {n}" for reason, n in _most_first(counts)[:4])
    return (
        f"only {counts.n_accepted} of {report.n} prompts: {counts.n_completions} completions, of which "
        f"{counts.n_without_list} without a list and {counts.n_failed} failed, gave {counts.n_tasks} tasks"
        f"{f'; dropped: {dropped}' if dropped else ''}. Try a larger --model, more seeds, a higher --temperature or "
        "--max-rouge, or a longer --patience"
    )
