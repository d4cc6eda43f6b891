"""Makes new rows from the replies that are stored in rows."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from msgspec.structs import replace

from console.errors import InputError
from console.progress import progress, say
from console.table import Cell
from judges.judging import orders
from judges.judging.pairwise import calibrated
from judges.judging.win_rate import flip_warning
from judges.options import Aggregate, Reading
from judges.panels.panel import winner_of
from judges.parsing.parse import PARSER_VERSION
from judges.parsing.verdict import How, aggregated, all_samples, score_of
from judges.rubrics.calibration import Calibration, load_calibration
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
    """Settings that change. None keeps the row's own."""

    rubric: str | None = None
    aggregate: Aggregate | None = None
    min_mass: float = 0.0
    min_samples: int | None = None
    show: int = 0
    """The number of changed rows to keep as examples."""
    calibration: Path | None = None
    """Learned weights, temperature and ties of the rows' judge."""


def latest_rows(path: Path) -> Iterator[Row]:
    """Yield the last row with each id, in file order and in the same memory for a file of any length.

    Raises InputError if the first row is neither a judgment nor a comparison. Raises RowError if another row is not of
    the same type, because the output replaces the whole file and must not miss a row.
    """
    if not path.exists():
        raise InputError(f"{path}: cannot be read: no such file")
    bad = BadRows(quiet=True)
    try:
        place, first = next(read_records(path, bad))
    except InputError as error:
        raise (InputError(f"{path}:1: not a row of this project: {error}") if bad.n_bad else error) from None
    if "judge" not in first or not ("response_id" in first or "response_a" in first):
        raise InputError(f"{place}: neither a judgment nor a comparison; judges.score and judges.compare write those")
    return _latest(path, Judgment if "response_id" in first else Comparison)


def rescored_judgment(row: Judgment, how: How, calibration: Calibration | None = None) -> Judgment:
    """Return the judgment that `how`, whose rubric has the calibration's weights, makes of the stored replies."""
    new = replace(row, **_identity(row, how, calibration))
    if not row.replies:
        return new
    replies = all_samples(row)
    score = score_of(replies, how)
    fields = {name: getattr(score, name) for name in ("spread", "mass", "criteria", "error")}
    missing = {str(number): reason for number, reason in score.missing.items()}
    counts = {"n_samples": len(replies) - len(missing), "missing": missing}
    return replace(new, score=score.value, scores=score.values, **fields, **counts)


def rescored_comparison(row: Comparison, how: How, calibration: Calibration | None = None) -> Comparison:
    """Return the comparison that `how` makes of the stored replies, with the calibration's winner if there is one."""
    new = replace(row, **_identity(row, how, calibration))
    if not row.replies:
        return new
    verdicts = {
        order: orders.one_order(replies, how, order, Usage()) for order, replies in orders.all_samples(row).items()
    }
    return replace(new, **calibrated(calibration, orders.verdict_fields(verdicts)) | {"usage": row.usage})


def recombined(row: Row, rule: Aggregate) -> Row:
    """Return a panel's row with its judges' verdicts combined by `rule`. A row without a quorum gets no verdict.

    The judges' verdicts on each criterion are only in their own rows, so a new judgment has no criteria.
    """
    judge = content_key("rescored", row.judge, rule)
    new = replace(row, id=content_key("rescored", judge, row.id), judge=judge, aggregate=rule)
    if isinstance(new, Comparison):
        votes = [vote for vote in new.votes or () if vote is not None]
        return replace(new, winner=winner_of(votes, rule)) if new.winner else new
    if new.score is None:
        return new
    return replace(new, score=aggregated([score for score in new.scores if score is not None], rule), criteria=None)


@dataclass(frozen=True)
class Unchanged:
    """A row that stays as it is."""

    reason: str


@dataclass
class Group:
    """The counts and sums of the rows of one model, or of one pair of models."""

    counts: Counter[str] = field(default_factory=Counter)
    before: float = 0.0
    after: float = 0.0

    @property
    def flipped_percent(self) -> float | None:
        """Return the share of comparisons whose two orders named different winners, in percent."""
        n = self.counts["both orders"]
        return 100 * self.counts["flipped"] / n if n else None


class Rescorer:
    """Rescores rows, and keeps counts and a few examples of the changes."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._hows: dict[tuple[str, str, str], How] = {}
        self._calibration: Calibration | None = None
        self._groups: dict[str, Group] = {}
        self.shown: list[dict[str, Cell]] = []
        self.unchanged: Counter[str] = Counter()
        """Reasons why rows stay as they are, with their counts."""

    def rescored(self, row: Row) -> Row:
        """Return the new row, or `row` itself if it cannot be rescored, and count the change."""
        new = self._made(row)
        if isinstance(new, Unchanged):
            self.unchanged[new.reason] += 1
            new = row
        self._count(row, new)
        return new

    def _made(self, row: Row) -> Row | Unchanged:
        if isinstance(row, Comparison):
            if row.read == "panel":
                return self._recombined(row)
            return rescored_comparison(row, self._how(row), self._calibration)
        if row.read == "panel":
            return self._recombined(row)
        if row.evidence is not None:
            return Unchanged("the score includes claims or constraints that were checked")
        return rescored_judgment(row, self._how(row), self._calibration)

    def _recombined(self, row: Row) -> Row | Unchanged:
        if rule := self._changes.aggregate:
            return recombined(row, rule)
        return Unchanged("the verdicts of a panel are combined again only with --aggregate")

    def _how(self, row: Row) -> How:
        """Return how to read `row`. Raises InputError if its rubric is unknown or of another kind."""
        key = (row.rubric, row.read, row.aggregate)
        if key in self._hows:
            return self._hows[key]
        if self._changes.rubric is None and row.rubric not in rubric_names():
            raise InputError(
                f"the rows' rubric '{row.rubric}' is not one of this project's: name its file with --rubric"
            )
        if row.read not in get_args(Reading):
            raise InputError(f"row {row.id} does not say how to read its replies: 'read' is {row.read!r}")
        rubric = load_rubric(self._changes.rubric or row.rubric)
        if rubric.kind != ("score" if isinstance(row, Judgment) else "pair"):
            raise InputError(f"the rubric '{rubric.name}' is not for {type(row).__name__.lower()}s")
        if self._changes.calibration is not None:
            self._calibration = load_calibration(self._changes.calibration, rubric)
            _say_other_judge(self._calibration, self._changes.calibration, row)
            rubric = self._calibration.reweighted(rubric)
        aggregate = self._changes.aggregate or row.aggregate or rubric.aggregate
        changes = self._changes
        how = How(rubric, row.read, aggregate, changes.min_mass, changes.min_samples)  # type: ignore[arg-type]
        self._hows[key] = how
        return how

    def _count(self, old: Row, new: Row) -> None:
        group = self._groups.setdefault(_group_of(old), Group())
        before, after = _value(old), _value(new)
        changed = _verdicts(old) != _verdicts(new)
        outcomes = {
            "rows": True,
            "changed": changed,
            "newly scored": before is None and after is not None,
            "newly unscored": after is None and before is not None,
            "scored before": before is not None,
            "scored after": after is not None,
            "both orders": isinstance(new, Comparison) and new.flipped is not None,
            "flipped": isinstance(new, Comparison) and bool(new.flipped),
        }
        group.counts.update(outcome for outcome, holds in outcomes.items() if holds)
        group.before += before or 0.0
        group.after += after or 0.0
        if changed and len(self.shown) < self._changes.show:
            reply = repr(new.replies[-1].strip()[-SHOWN_CHARACTERS:]) if new.replies else "its judges' scores"
            self.shown.append({"id": new.id, "reply": reply, "before": _shown(old), "after": _shown(new)})

    @property
    def n_changed(self) -> int:
        """The number of rows whose verdict changed."""
        return sum(group.counts["changed"] for group in self._groups.values())

    @property
    def warnings(self) -> list[str]:
        """A line per pair of models whose verdicts flipped with the order in over half of the comparisons."""
        groups = self._groups.items()
        warnings = [flip_warning(name, group.counts["flipped"], group.counts["both orders"]) for name, group in groups]
        return [warning for warning in warnings if warning]

    def table(self) -> list[dict[str, Cell]]:
        """Return one table row per model. For comparisons the means are win rates of b in percent."""
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
    last: DiskDict[int] = DiskDict()  # one number per id, not the row: the file is read twice
    for number, latest in enumerate(read_typed(path, row_type, BadRows(strict=True))):
        last[latest.id] = number
    with progress(f"reading {path.name}", len(last)) as advance:
        for number, latest in enumerate(read_typed(path, row_type, BadRows(strict=True))):
            if last[latest.id] == number:
                yield latest
                advance(1)


def _say_other_judge(calibration: Calibration, path: Path, row: Row) -> None:
    """Say if the rows are of another judge. A judge has another fingerprint with its calibration, so it may be this."""
    if row.judge != calibration.judge:
        say(
            f"warning: {path} was learned for the judge {calibration.judge}, and the rows are by {row.judge}: it fits "
            "them only if that is the same judge with its calibration"
        )


def _identity(row: Row, how: How, calibration: Calibration | None) -> dict[str, str]:
    settings: tuple[object, ...] = (how.rubric.identity, how.read, how.aggregate, how.min_mass, PARSER_VERSION)
    settings += () if how.min_samples is None else (how.min_samples,)
    settings += () if calibration is None else (calibration.identity,)
    judge = content_key("rescored", row.judge, *settings)
    fields = {"judge": judge, "rubric": how.rubric.name, "aggregate": how.aggregate}
    return {"id": content_key("rescored", judge, row.id), **fields}


def _group_of(row: Row) -> str:
    return row.model if isinstance(row, Judgment) else f"{row.model_a} and {row.model_b}"


def _value(row: Row) -> float | None:
    if isinstance(row, Judgment):
        return row.score
    return None if row.preference_b is None else 100 * row.preference_b


def _verdicts(row: Row) -> object:
    """Return the verdicts of a row for comparison. The scores are unordered, because failed samples have no place."""
    if isinstance(row, Judgment):
        return row.score, Counter(row.scores), row.criteria
    return row.winner, row.preference_b, row.first_order, row.second_order


def _shown(row: Row) -> Cell:
    if isinstance(row, Judgment):
        return f"{row.score:g}" if row.score is not None else f"none ({row.error})"
    return row.winner or f"none ({row.error})"
