"""Reads a run: its settings, its ledger, the figures of its iterations, their judgments and their benchmarks."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from console.errors import InputError
from console.reading import read_file, read_toml
from evals.report.facts.judged import JudgedFacts, judged_in
from evals.report.facts.shapes import HeldOutFacts, LedgerFacts, RlpFacts
from evals.results.numbers import Number, numbers_in
from records.runs import Run

FactsT = TypeVar("FactsT")
MOST_BYTES = 64 << 20


@dataclass(frozen=True)
class RunFacts:
    """All that a report says of a run, but for its texts."""

    run: Run
    name: str
    settings: dict[str, Any]
    versions: dict[str, str]
    ledger: dict[str, LedgerFacts]
    """By the iteration's name."""
    held_out: dict[str, HeldOutFacts]
    """By the iteration's name."""
    judged: dict[str, JudgedFacts]
    """By the name of the iteration that was made from the judgments."""
    benchmarks: list[Number]
    rlp: RlpFacts | None
    state: str
    """finished, under way or stopped."""
    problems: list[str] = field(default_factory=list)
    """Files that cannot be read."""

    @property
    def iterations(self) -> list[str]:
        """Return the names of the iterations that anything is known of, ascending."""
        names = {*self.ledger, *self.held_out, *(policy.id for policy in (self.rlp.policies if self.rlp else ()))}
        return sorted(names, key=lambda name: (len(name), name))


def read_run(run: Run) -> RunFacts:
    """Return what is known of `run`. A file that is damaged is named in `problems`, and the others are read."""
    problems: list[str] = []
    settings, versions = _settings(run, problems)
    numbers = run.iterations()
    judged, held_out = {}, {}
    for number in numbers:
        name = f"iter{number}"
        figures = _decoded(run.iteration(number) / "metrics.json", HeldOutFacts, problems)
        if figures is not None:
            held_out[name] = figures
        found = judged_in(run.iteration(number) / "judgments.jsonl", problems)
        if found is not None:
            judged[name] = found
    return RunFacts(
        run=run,
        name=run.folder.resolve().name,
        settings=settings,
        versions=versions,
        ledger={line.id: line for line in _ledger(run, problems)},
        held_out=held_out,
        judged=judged,
        benchmarks=numbers_in(run.folder / "evals", problems),
        rlp=_decoded(run.folder / "eval" / "evaluation.json", RlpFacts, problems),
        state="under way" if run.is_under_way else "finished" if run.is_finished else "stopped",
        problems=problems,
    )


def up_to(facts: RunFacts, iteration: str) -> RunFacts:
    """Return what is known of a run without its iterations after the given one."""
    later = set(facts.iterations[facts.iterations.index(iteration) + 1 :])
    rlp = facts.rlp and msgspec.structs.replace(
        facts.rlp,
        policies=[policy for policy in facts.rlp.policies if policy.id not in later],
        reward_models=[model for model in facts.rlp.reward_models if model.id not in later],
    )
    return replace(
        facts,
        ledger={name: line for name, line in facts.ledger.items() if name not in later},
        held_out={name: figures for name, figures in facts.held_out.items() if name not in later},
        judged={name: judged for name, judged in facts.judged.items() if name not in later},
        benchmarks=[number for number in facts.benchmarks if number.model not in later],
        rlp=rlp,
    )


def _settings(run: Run, problems: list[str]) -> tuple[dict[str, Any], dict[str, str]]:
    try:
        table = read_toml(run.config)
    except InputError as error:
        problems.append(str(error))
        return {}, {}
    settings, versions = table.get("settings"), table.get("versions")
    return (
        settings if isinstance(settings, dict) else {},
        {str(name): str(value) for name, value in versions.items()} if isinstance(versions, dict) else {},
    )


def _ledger(run: Run, problems: list[str]) -> Iterator[LedgerFacts]:
    if not run.ledger.is_file():
        return
    try:
        lines = read_file(run.ledger, MOST_BYTES).splitlines()
    except InputError as error:
        problems.append(str(error))
        return
    for number, line in enumerate(lines, start=1):
        try:
            yield msgspec.json.decode(line, type=LedgerFacts)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            problems.append(f"{run.ledger}:{number}: not a line of a ledger: {error}")


def _decoded(path: Path, facts: type[FactsT], problems: list[str]) -> FactsT | None:
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(read_file(path, MOST_BYTES), type=facts)
    except InputError as error:
        problems.append(str(error))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        problems.append(f"{path}: cannot be read: {error}")
    return None
