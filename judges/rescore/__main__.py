"""Read stored replies again with another parser, rubric or aggregation: no model, no call.

python -m judges.rescore judgments.jsonl                          with the parser as it is now
python -m judges.rescore judgments.jsonl --aggregate median
python -m judges.rescore judgments.jsonl --rubric my_scale.toml --out again.jsonl
python -m judges.rescore comparisons.jsonl --min-mass 0.3 --show 10

FILE has judgments or comparisons of this project. The new rows have new ids and another judge fingerprint, so that
none is taken for an old one. A call that failed stays without a verdict.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from console.command import Flags, Given, run
from console.errors import InputError
from console.output import say, tell, tell_json
from console.ranges import Count, CountOr0, Share
from console.writing import OutRows
from judges.options import Aggregate, JudgeOptions

if TYPE_CHECKING:
    from judges.rescore.rereading import Again


@dataclass(frozen=True, kw_only=True)
class Config(Flags):
    """Read stored replies again."""

    file: Given = None
    """Judgments or comparisons."""
    rubric: str | None = None
    """How to read the replies; the default is each row's own, which must then be one of this project's."""
    aggregate: Aggregate | None = None
    """How the replies, or the scores of a panel's judges, become one; the default is as before."""
    min_mass: Share = JudgeOptions.min_mass
    """No verdict where the choices have less probability than this together (logprobs)."""
    min_samples: Count | None = None
    """No verdict where fewer samples than this were answered; the default is all (text, structured)."""
    limit: Count | None = None
    """Only the first N rows."""
    out: OutRows | None = None
    """Where the new rows go; the default is <file>-rescored.jsonl beside FILE."""
    show: CountOr0 = 3
    """Print so many of the rows that changed."""


def main(config: Config) -> None:
    """Read, rescore, write and print a table."""
    from judges.rescore.rereading import Again, Changes, latest_rows
    from records.files import check_limit, take
    from records.inputs import check_out
    from records.store import set_aside, write_rows

    if config.file is None:
        raise InputError("name a file of judgments or comparisons")
    check_limit(config.limit)
    check_out(config.out, config.file)
    rows = take(latest_rows(config.file), config.limit)
    again = Again(Changes(config.rubric, config.aggregate, config.min_mass, config.min_samples, config.show))
    out = config.out or config.file.with_name(f"{config.file.stem}-rescored.jsonl")
    if config.dry_run:
        for row in rows:
            again.of(row)
    else:
        set_aside(out)
        write_rows(out, (again.of(row) for row in rows))
    _print_result(again, None if config.dry_run else out, as_json=config.json)


def _print_result(again: "Again", out: Path | None, *, as_json: bool) -> None:

    from console.table import print_table

    for warning in again.warnings:
        say(warning)
    table = again.table()
    if as_json:
        found = {"models": table, "changed": again.n_changed, "differences": again.shown, "kept": dict(again.kept)}
        tell_json(found | {"out": out and str(out)})
        return
    print_table(table)
    for one in again.shown:
        tell("", f"{one['id']}: {one['before']} -> {one['after']}, from {one['reply']}")
    for reason, n in again.kept.items():
        tell("", f"{n} rows stay as they are: {reason}")
    n_changed, n = again.n_changed, sum(int(row["rows"] or 0) for row in table)
    tell("", f"{n_changed} of {n} verdicts changed" if n_changed else "nothing changed: every verdict is the same")
    tell(out or "nothing is written")


if __name__ == "__main__":
    run(Config, main, "python -m judges.rescore")
