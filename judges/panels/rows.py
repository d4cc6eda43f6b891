"""Makes the rows of a panel from those of its judges. Each judge has its own file."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
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
from judges.judging.orders import Orders
from judges.judging.pairwise import Contest, comparison_id
from judges.judging.stream import WINDOW, Source, Summary, windows
from judges.options import OF_CHOICES, PanelOptions
from judges.panels.agreement import Level, step_of
from judges.panels.panel import SAME, Member, combine, combine_comparisons, panel_fingerprint
from records import Comparison, Judgment, Store
from records.inputs import check_panel_out
from records.store import write_rows

VALUES = {"a": 0.0, "tie": 0.5, "b": 1.0, None: None}


def without_model(judge: Judge) -> Judge:
    """Return `judge` without its model, so that the memory is free for the next one."""
    engine = ScriptedEngine(name=judge.engine.name, digest=judge.engine.digest)
    if judge.read == "logprobs":
        engine.choosing = getattr(judge.engine, "choosing", None)
    return replace(judge, engine=engine)


def open_members(members: Sequence[Member], words: Sequence[str], seed: int) -> deque[Judge]:
    """Return the judges of a panel in order. Take each out in its turn, so that its model can be freed.

    Raises InputError, before anything is asked, if two are the same although their --judge `words` differ: two servers
    that serve one name, or two names of one folder.
    """
    judges = deque(open_judge(open_engine(engine), options, seed) for engine, options in members)
    names = [(options.served_as or options.model) if is_served(options) else None for options, _ in members]
    known: dict[str, str] = {}
    for judge, (options, _), name, word in zip(judges, members, names, words, strict=True):
        if name is not None and names.count(name) == 1:
            continue  # no other judge has its name, and its server need not be up yet
        if name is not None and options.served_as is None and is_dry_run():
            continue  # a dry run does not ask the server what it serves, which may tell the two apart
        if (other := known.setdefault(judge.fingerprint, word)) is not word:
            raise InputError(
                f"--judge {shown(word)}: the panel has the same judge already, --judge {shown(other)}: {SAME}"
            )
    return judges


@dataclass(frozen=True)
class Panel:
    """The judges of a panel, without their models, and the files of their rows."""

    judges: Sequence[Judge]
    paths: Sequence[Path]
    options: PanelOptions

    @property
    def fingerprints(self) -> list[str]:
        """Return the judges' fingerprints in the order of the flags."""
        return [judge.fingerprint for judge in self.judges]

    @property
    def fingerprint(self) -> str:
        """Return the panel's fingerprint."""
        return panel_fingerprint(self.fingerprints, self.options.panel_rule, self.options.quorum)

    @property
    def level(self) -> Level:
        """Return the level of measurement of the verdicts, for their agreement."""
        if self.judges[0].rubric.kind == "pair":
            return "nominal"
        return "interval" if any(judge.read in OF_CHOICES for judge in self.judges) else "ordinal"


def panel_judgments(panel: Panel, source: Source, out: Path) -> tuple[Summary, list[dict[str, Cell]]]:
    """Write the panel's judgments to `out`, and return their summary and the table of agreement."""
    summary = Summary()
    scores_by_judge: list[list[float | None]] = [[] for _ in panel.judges]

    def rows() -> Iterator[Judgment]:
        with ExitStack() as opened:
            stores = [opened.enter_context(Store(path, Judgment)) for path in panel.paths]
            for window in windows(source.responses(), WINDOW):
                columns = []
                for judge, store in zip(panel.judges, stores, strict=True):
                    ids = [judge.judgment_id(response) for _, response in window]
                    by_id = {judgment.id: judgment for judgment in store.chosen(ids)}
                    columns.append([by_id.get(row_id) for row_id in ids])
                for (place, _), unit in zip(window, zip(*columns, strict=True), strict=True):
                    if not any(unit):
                        continue  # no judge reached it
                    judgment = combine(
                        unit, panel.fingerprints, panel.options.panel_rule, panel.options.quorum, panel.judges[0].rubric
                    )
                    summary.add(place, judgment)
                    for scores, member_row in zip(scores_by_judge, unit, strict=True):
                        scores.append(member_row.score if member_row else None)
                    yield judgment

    write_rows(out, rows())
    return summary, _table(panel, scores_by_judge)


def panel_comparisons(
    panel: Panel, contests: Iterable[Contest], orders: Orders, out: Path, add: Callable[[Comparison], None]
) -> tuple[int, list[dict[str, Cell]]]:
    """Write the panel's comparisons to `out` and give each to `add`.

    Returns the number of contests that any judge has compared, and the table of agreement.
    """
    votes: list[list[float | None]] = [[] for _ in panel.judges]

    def rows() -> Iterator[Comparison]:
        with ExitStack() as opened:
            stores = [opened.enter_context(Store(path, Comparison)) for path in panel.paths]
            for window in windows(contests, WINDOW):
                columns = []
                for judge, store in zip(panel.judges, stores, strict=True):
                    ids = [comparison_id(judge, contest, orders) for contest in window]
                    by_id = {comparison.id: comparison for comparison in store.chosen(dict.fromkeys(ids))}
                    columns.append([by_id.get(row_id) for row_id in ids])
                for unit in zip(*columns, strict=True):
                    if not any(unit):
                        continue  # no judge reached it
                    comparison = combine_comparisons(
                        unit, panel.fingerprints, panel.options.panel_rule, panel.options.quorum
                    )
                    add(comparison)
                    for own_votes, member_row in zip(votes, unit, strict=True):
                        own_votes.append(VALUES[member_row.winner if member_row else None])
                    yield comparison

    write_rows(out, rows())
    return len(votes[0]), _table(panel, votes)


def check_panel(out: Path | None, *, batch: bool, tools: bool = False) -> None:
    """Raise InputError for a panel in a `batch` or with `tools`, or if `out` holds other rows than a panel's."""
    if tools:
        raise InputError("a panel has no tools: name one judge, with --model, or leave out --corpus, --search, --tool")
    if batch:
        raise InputError("a batch is of one judge: name it with --model, and make the panel from its rows afterwards")
    if out is not None:
        check_panel_out(out)


def check_reached(n_left: int, n: int) -> None:
    """Raise EngineError if no judge of a panel reached `n_left` of `n` units, which have no row with a reason."""
    if n_left:
        raise EngineError(f"no judge of the panel came to {n_left} of {n}; all is kept, and the same command goes on")


def _table(panel: Panel, verdicts: Sequence[Sequence[float | None]]) -> list[dict[str, Cell]]:
    # Here, because scipy takes half a second to load and only a finished panel needs it.
    from judges.panels.alpha import agreement_table

    names = [f"{judge.engine.name} {judge.fingerprint[:6]}" for judge in panel.judges]
    step = 0.0 if panel.level == "nominal" else step_of(panel.judges[0].rubric)
    return agreement_table(dict(zip(names, verdicts, strict=True)), panel.level, step)
