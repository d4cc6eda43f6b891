"""Rescores a file and prints what changed."""

from pathlib import Path

from console.errors import InputError
from console.output import say, tell, tell_json
from console.table import print_table
from judges.rescore.options import Config
from judges.rescore.rereading import Changes, Rescorer, latest_rows
from records.files import check_limit, take
from records.inputs import check_out
from records.store import set_aside, write_rows


def rescore(config: Config) -> None:
    """Read, rescore, write and print a table."""
    if config.file is None:
        raise InputError("name a file of judgments or comparisons")
    check_limit(config.limit)
    check_out(config.out, config.file)
    rows = take(latest_rows(config.file), config.limit)
    changes = Changes(
        config.rubric, config.aggregate, config.min_mass, config.min_samples, config.show, config.calibration
    )
    rescorer = Rescorer(changes)
    out = config.out or config.file.with_name(f"{config.file.stem}-rescored.jsonl")
    if config.dry_run:
        for stored_row in rows:
            rescorer.rescored(stored_row)
    else:
        set_aside(out)
        write_rows(out, map(rescorer.rescored, rows))
    _print_result(rescorer, None if config.dry_run else out, as_json=config.json)


def _print_result(rescorer: Rescorer, out: Path | None, *, as_json: bool) -> None:
    for warning in rescorer.warnings:
        say(warning)
    table = rescorer.table()
    n_changed = rescorer.n_changed
    if as_json:
        result = {"models": table, "changed": n_changed, "differences": rescorer.shown}
        tell_json(result | {"kept": dict(rescorer.unchanged), "out": out and str(out)})
        return
    print_table(table)
    for example in rescorer.shown:
        tell("", f"{example['id']}: {example['before']} -> {example['after']}, from {example['reply']}")
    for reason, n in rescorer.unchanged.items():
        tell("", f"{n} rows stay as they are: {reason}")
    n = sum(int(line["rows"] or 0) for line in table)
    tell("", f"{n_changed} of {n} verdicts changed" if n_changed else "nothing changed: every verdict is the same")
    tell(out or "nothing is written")
