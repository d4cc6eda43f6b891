"""Makes rows anew from the replies that are stored in them."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from msgspec.structs import replace

from console.errors import InputError
from console.progress import progress
from console.table import Cell
from judges.judging import pairwise
from judges.judging.pairwise import flip_warning, one_order, verdict_fields
from judges.options import Aggregate, Reading
from judges.panels.panel import winner_of
from judges.parsing.parse import PARSER_VERSION
from judges.parsing.verdict import How, aggregated, all_said, score_of
from judges.rubrics.rubric import load_rubric, rubric_names
from records import Comparison, Judgment, Usage
from records.disk import DiskDict
from records.fields.typed import read_typed
from records.files import BadRows, read_records
from records.keys import content_key

SHOWN_CHARACTERS = 60

Row = Judgment | Comparison


@dataclass(frozen=True)
class Changes:
    """What is to be read in another way; None is as before."""

    rubric: str | None = None
    aggregate: Aggregate | None = None
    min_mass: float = 0.0
    min_samples: int | None = None
    show: int = 0
    """How many of the rows that changed are kept as examples."""


def latest_rows(path: Path) -> Iterator[Row]:
    """Yield the last row with each id, in file order and in the same memory for a file of any length.

    Raises InputError where the first row is neither a judgment nor a comparison, RowError where another one is not of
    the same type: what comes out is to stand for the whole file, so no row of it is left out.
    """
    if not path.exists():
        raise InputError(f"{path}: cannot be read: no such file")
    bad = BadRows(quiet=True)
    try:
        where, first = next(read_records(path, bad))
    except InputError as error:
        raise (InputError(f"{path}:1: not a row of this project: {error}") if bad.n_bad else error) from None
    if "judge" not in first or not ("response_id" in first or "response_a" in first):
        raise InputError(f"{where}: neither a judgment nor a comparison; judges.score and judges.compare write those")
    return _latest(path, Judgment if "response_id" in first else Comparison)


def rescored_judgment(row: Judgment, how: How) -> Judgment:
    """Return the judgment that the stored replies come to when they are read as `how` says."""
    new = replace(row, **_identity(row, how))
    if not row.replies:
        return new
    said = all_said(row)
    score = score_of(said, how)
    found = {name: getattr(score, name) for name in ("spread", "mass", "criteria", "error")}
    missing = {str(number): reason for number, reason in score.missing.items()}
    counts = {"n_samples": len(said) - len(missing), "missing": missing}
    return replace(new, score=score.value, scores=score.values, **found, **counts)


def rescored_comparison(row: Comparison, how: How) -> Comparison:
    """Return the comparison that the stored replies come to when they are read as `how` says."""
    new = replace(row, **_identity(row, how))
    if not row.replies:
        return new
    found = {order: one_order(said, how, order, Usage()) for order, said in pairwise.all_said(row).items()}
    return replace(new, **verdict_fields(found) | {"usage": row.usage})


def recombined(row: Row, rule: Aggregate) -> Row:
    """Return a panel's row with its judges' verdicts put together by `rule`; one without a quorum stays without.

    What each judge said of each criterion is only in its own row, so a new judgment has no criteria.
    """
    judge = content_key("rescored", row.judge, rule)
    new = replace(row, id=content_key("rescored", judge, row.id), judge=judge, aggregate=rule)
    if isinstance(new, Comparison):
        votes = [vote for vote in new.votes or () if vote is not None]
        return replace(new, winner=winner_of(votes, rule)) if new.winner else new
    if new.score is None:
        return new
    return replace(new, score=aggregated([score for score in new.scores if score is not None], rule), criteria=None)


@dataclass
class Group:
    """The counts and sums of the rows of one model, or of one pair of models."""

    counts: Counter[str] = field(default_factory=Counter)
    before: float = 0.0
    after: float = 0.0

    @property
    def flipped_percent(self) -> float | None:
        """Return how many of the verdicts from both orders named different winners."""
        n = self.counts["both orders"]
        return 100 * self.counts["flipped"] / n if n else None


class Again:
    """Makes rows anew, and keeps what changed in numbers and a few examples."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._hows: dict[tuple[str, str, str], How] = {}
        self._groups: dict[str, Group] = {}
        self.shown: list[dict[str, Cell]] = []
        self.kept: Counter[str] = Counter()
        """Why rows stay as they are."""

    def of(self, row: Row) -> Row:
        """Return `row` made anew, or as it is where that cannot be done; it is counted either way."""
        new = self._made(row)
        if isinstance(new, str):
            self.kept[new] += 1
            new = row
        self._count(row, new)
        return new

    def _made(self, row: Row) -> Row | str:
        if isinstance(row, Comparison):
            return self._recombined(row) if row.read == "panel" else rescored_comparison(row, self._how(row))
        if row.read == "panel":
            return self._recombined(row)
        if row.evidence is not None:
            return "its claims were looked up, and its score is made of that too"
        return rescored_judgment(row, self._how(row))

    def _recombined(self, row: Row) -> Row | str:
        rule = self._changes.aggregate
        return recombined(row, rule) if rule else "the verdicts of a panel are put together anew only with --aggregate"

    def _how(self, row: Row) -> How:
        """Return how to read `row`; raises InputError where its rubric is not known or of another kind."""
        key = (row.rubric, row.read, row.aggregate)
        if key in self._hows:
            return self._hows[key]
        if self._changes.rubric is None and row.rubric not in rubric_names():
            raise InputError(f"the rows' rubric '{row.rubric}' is none of this project's: name its file with --rubric")
        if row.read not in get_args(Reading):
            raise InputError(f"row {row.id} does not say how its replies are to be read: 'read' is {row.read!r}")
        rubric = load_rubric(self._changes.rubric or row.rubric)
        if rubric.kind != ("score" if isinstance(row, Judgment) else "pair"):
            raise InputError(f"the rubric '{rubric.name}' is not for {type(row).__name__.lower()}s")
        aggregate = self._changes.aggregate or row.aggregate or rubric.aggregate
        changes = self._changes
        how = How(rubric, row.read, aggregate, changes.min_mass, changes.min_samples)  # type: ignore[arg-type]
        self._hows[key] = how
        return how

    def _count(self, old: Row, new: Row) -> None:
        group = self._groups.setdefault(_group_of(old), Group())
        before, after = _value(old), _value(new)
        changed = _verdicts(old) != _verdicts(new)
        counted = {
            "rows": True,
            "changed": changed,
            "newly scored": before is None and after is not None,
            "newly unscored": after is None and before is not None,
            "scored before": before is not None,
            "scored after": after is not None,
            "both orders": isinstance(new, Comparison) and new.flipped is not None,
            "flipped": isinstance(new, Comparison) and bool(new.flipped),
        }
        group.counts.update(what for what, holds in counted.items() if holds)
        group.before += before or 0.0
        group.after += after or 0.0
        if changed and len(self.shown) < self._changes.show:
            reply = repr(new.replies[-1].strip()[-SHOWN_CHARACTERS:]) if new.replies else "its judges' scores"
            self.shown.append({"id": new.id, "reply": reply, "before": _shown(old), "after": _shown(new)})

    @property
    def n_changed(self) -> int:
        """How many rows have another verdict than before."""
        return sum(group.counts["changed"] for group in self._groups.values())

    @property
    def warnings(self) -> list[str]:
        """A line for each pair of models whose verdicts turned with the order in over half of the comparisons."""
        groups = self._groups.items()
        found = [flip_warning(name, own.counts["flipped"], own.counts["both orders"]) for name, own in groups]
        return [warning for warning in found if warning]

    def table(self) -> list[dict[str, Cell]]:
        """Return one table row for each model; of comparisons the means are how often b is preferred, in percent."""
        compares = any(group.counts["both orders"] for group in self._groups.values())
        return [
            {
                "model": name,
                **{what: group.counts[what] for what in ("rows", "changed", "newly scored", "newly unscored")},
                "unscored": group.counts["rows"] - group.counts["scored after"],
                "mean before": group.before / n if (n := group.counts["scored before"]) else None,
                "mean after": group.after / n if (n := group.counts["scored after"]) else None,
                **({"flipped, %": group.flipped_percent} if compares else {}),
            }
            for name, group in self._groups.items()
        ]


def _latest(path: Path, row_type: type[Any]) -> Iterator[Row]:
    last: DiskDict[int] = DiskDict()
    for number, row in enumerate(read_typed(path, row_type, BadRows(strict=True))):
        last[row.id] = number
    with progress(f"reading {path.name}", len(last)) as advance:
        for number, row in enumerate(read_typed(path, row_type, BadRows(strict=True))):
            if last[row.id] == number:
                yield row
                advance(1)


def _identity(row: Row, how: How) -> dict[str, str]:
    settings: tuple[object, ...] = (how.rubric.identity, how.read, how.aggregate, how.min_mass, PARSER_VERSION)
    settings += () if how.min_samples is None else (how.min_samples,)
    judge = content_key("rescored", row.judge, *settings)
    named = {"judge": judge, "rubric": how.rubric.name, "aggregate": how.aggregate}
    return {"id": content_key("rescored", judge, row.id), **named}


def _group_of(row: Row) -> str:
    return row.model if isinstance(row, Judgment) else f"{row.model_a} and {row.model_b}"


def _value(row: Row) -> float | None:
    if isinstance(row, Judgment):
        return row.score
    return None if row.preference_b is None else 100 * row.preference_b


def _verdicts(row: Row) -> object:
    """Return what must be the same for two rows to say the same; failed samples have no place of their own."""
    if isinstance(row, Judgment):
        return row.score, Counter(row.scores), row.criteria
    return row.winner, row.preference_b, row.first_order, row.second_order


def _shown(row: Row) -> Cell:
    if isinstance(row, Judgment):
        return f"{row.score:g}" if row.score is not None else f"none ({row.error})"
    return row.winner or f"none ({row.error})"
