"""Makes the rows of a panel from those of its judges, each of whom has a file of its own."""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from console.address import shown
from console.again import is_dry_run
from console.errors import EngineError, InputError
from console.table import Cell
from engines.options import is_served, open_engine
from engines.scripted import ScriptedEngine
from judges.judging.judge import Judge, open_judge
from judges.judging.stream import WINDOW, Source, Summary, windows
from judges.options import PanelOptions
from judges.panels.agreement import Level, agreement_table, step_of
from judges.panels.panel import SAME, Member, combine, combine_comparisons, panel_fingerprint
from records import Comparison, Judgment, Store
from records.store import write_rows

VALUES = {"a": 0.0, "tie": 0.5, "b": 1.0, None: None}


def without_model(judge: Judge) -> Judge:
    """Return `judge` with its names alone, so that its model's memory is free for the next one."""
    return replace(judge, engine=ScriptedEngine(name=judge.engine.name, digest=judge.engine.digest))


def open_members(members: Sequence[Member], words: Sequence[str], seed: int) -> deque[Judge]:
    """Return the judges of a panel in their order, each to be taken out when it is its turn, so that its model can go.

    Raises InputError, before anything is asked, where two are the same although their `words`, of --judge, differ: two
    servers that serve one name, or two names of one folder.
    """
    found = deque(open_judge(open_engine(engine), options, seed) for engine, options in members)
    names = [(one.served_as or one.model) if is_served(one) else None for one, _ in members]
    known: dict[str, str] = {}
    for judge, (one, _), name, word in zip(found, members, names, words, strict=True):
        if name is not None and names.count(name) == 1:
            continue  # no other can be it, and its server need not be there yet
        if name is not None and one.served_as is None and is_dry_run():
            continue  # its server is not asked what it serves, which may tell it from the other
        if (other := known.setdefault(judge.fingerprint, word)) is not word:
            raise InputError(
                f"--judge {shown(word)}: the panel has the same judge already, --judge {shown(other)}: {SAME}"
            )
    return found


@dataclass(frozen=True)
class Panel:
    """The judges of a panel, without their models, and where each has its rows."""

    judges: Sequence[Judge]
    paths: Sequence[Path]
    options: PanelOptions

    @property
    def fingerprints(self) -> list[str]:
        """Return the judges' fingerprints, in the order in which they were named."""
        return [judge.fingerprint for judge in self.judges]

    @property
    def fingerprint(self) -> str:
        """Return the panel's own."""
        return panel_fingerprint(self.fingerprints, self.options.panel_rule, self.options.quorum)

    @property
    def level(self) -> Level:
        """Return the level on which the verdicts are measured, for their agreement."""
        if self.judges[0].rubric.kind == "pair":
            return "nominal"
        return "interval" if any(judge.read == "logprobs" for judge in self.judges) else "ordinal"


def panel_judgments(panel: Panel, source: Source, out: Path) -> tuple[Summary, list[dict[str, Cell]]]:
    """Write the panel's judgments to `out`; return their summary and the table of agreement."""
    summary = Summary()
    said: list[list[float | None]] = [[] for _ in panel.judges]

    def rows() -> Iterator[Judgment]:
        with ExitStack() as opened:
            stores = [opened.enter_context(Store(path, Judgment)) for path in panel.paths]
            for window in windows(source.responses(), WINDOW):
                found = []
                for judge, store in zip(panel.judges, stores, strict=True):
                    ids = [judge.judgment_id(response) for _, response in window]
                    by_id = {row.id: row for row in store.chosen(ids)}
                    found.append([by_id.get(row_id) for row_id in ids])
                for (place, _), own in zip(window, zip(*found, strict=True), strict=True):
                    if not any(own):
                        continue  # no judge came so far
                    row = combine(
                        own, panel.fingerprints, panel.options.panel_rule, panel.options.quorum, panel.judges[0].rubric
                    )
                    summary.add(place, row)
                    for scores, one in zip(said, own, strict=True):
                        scores.append(one.score if one else None)
                    yield row

    write_rows(out, rows())
    return summary, _table(panel, said)


def panel_comparisons(
    panel: Panel, own: Sequence[Sequence[Comparison | None]], out: Path
) -> tuple[list[Comparison], list[dict[str, Cell]]]:
    """Write the panel's comparisons to `out`, made from `own`, the rows of each judge one for one."""
    units = [unit for unit in zip(*own, strict=True) if any(unit)]
    rows = [
        combine_comparisons(unit, panel.fingerprints, panel.options.panel_rule, panel.options.quorum) for unit in units
    ]
    write_rows(out, rows)
    said = [[VALUES[row.winner if row else None] for row in column] for column in zip(*units, strict=True)]
    said = said or [[] for _ in panel.judges]  # none came so far
    return rows, _table(panel, said)


def check_reached(n_left: int, n: int) -> None:
    """Raise EngineError where no judge of a panel came to `n_left` of `n` units: they have no row to say why."""
    if n_left:
        raise EngineError(f"no judge of the panel came to {n_left} of {n}; all is kept, and the same command goes on")


def _table(panel: Panel, said: Sequence[Sequence[float | None]]) -> list[dict[str, Cell]]:
    names = [f"{judge.engine.name} {judge.fingerprint[:6]}" for judge in panel.judges]
    step = 0.0 if panel.level == "nominal" else step_of(panel.judges[0].rubric)
    return agreement_table(dict(zip(names, said, strict=True)), panel.level, step)
