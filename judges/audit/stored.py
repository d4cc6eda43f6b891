"""Reads existing verdicts: this project's rows, or any table with a column for them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from console.errors import InputError, RowError
from console.progress import say
from console.reading import naming
from judges.audit.joining.tables import Table, check_codes, grades_in, verdicts_in
from judges.labelled.cells import judge_in
from judges.labelled.columns import GAMES, Columns, verdict_of
from judges.labelled.labels import Grade, LabelledPair, LabelledSet, Verdict, sampled, verdict_by_scores
from judges.rubrics.checked import on_scale
from records.fields.labels import CODES
from records.fields.typed import typed
from records.files import BadRows, Record, read_records
from records.keys import content_key
from records.rows import Comparison, Judgment, Message, text_of

RowT = TypeVar("RowT", Comparison, Judgment)
TRIED = 20
"""The number of first records that are looked at to recognise the file."""
GROUPS = ("prompt_id", "question_id", "idx")


@dataclass(frozen=True)
class Stored:
    """A labelled set with a judge's verdicts on it, in the same order."""

    labelled: LabelledSet
    verdicts: Sequence[Verdict]
    grades: Sequence[Grade]
    judge: str
    """The judge's name, as the file has it."""
    n_labelled: int
    """The number of labelled rows, including those without a verdict in the file."""


@dataclass(frozen=True)
class Sample:
    """The number of labelled rows to take, and the seed of the draw."""

    limit: int | None = None
    seed: int = 0


def stored_verdicts(
    path: Path,
    labelled: LabelledSet,
    columns: Columns,
    bad: BadRows,
    *,
    own: bool = False,
    sample: Sample = Sample(),  # frozen
) -> Stored:
    """Return the verdicts in `path` on a `sample` of the rows of `labelled`.

    This project's rows are matched by their texts, a pair in either order. Rows of a table are matched as in `joining`,
    or by their place if the table is the labelled file itself (`own`). Labelled rows without a verdict are dropped and
    reported. Raises InputError if no row matches, if the file is by several judges, or if its verdicts are the labels.
    """
    n_before = bad.n_bad
    located = list(read_records(path, bad))
    records = [record for _, record in located]
    if _any_has(records, {"response_a", "first_order", "judge", "rubric"}):
        rows = _decoded(located, Comparison, path, bad)
        return _restricted(path, labelled, _by_comparison(rows, labelled.pairs), [], _judge(path, rows), sample)
    if _any_has(records, {"response_id", "scores", "judge", "rubric"}):
        return _by_judgment(path, labelled, _decoded(located, Judgment, path, bad), sample)
    table = _table(path, records, labelled, columns, own=own, whole=bad.n_bad == n_before)
    if labelled.pairs:
        return _restricted(path, labelled, verdicts_in(table, labelled), [], path.name, sample)
    return _restricted(path, labelled, [], grades_in(table, labelled), path.name, sample)


def comparison_verdict(row: Comparison) -> Verdict:
    """Return the verdict of a stored comparison."""
    return Verdict(row.winner, row.preference_b, None, row.first_order, row.second_order, row.error, row.mass)


def unlabelled_verdicts(
    path: Path, columns: Columns, bad: BadRows, *, from_one: bool = False
) -> tuple[list[Verdict], list[str]]:
    """Return the verdicts of a file without labels and their prompts, whose win rate is to be corrected.

    `from_one` says that the labelled set counts the first answer as 1.
    """
    verdicts, groups = [], []
    records = [record for _, record in read_records(path, bad)]
    if _any_has(records, {"response_a", "first_order", "judge", "id"}):
        records = _last(records, lambda record: str(record.get("id")), lambda record: record.get("winner") is not None)
    _check_one_judge(path, records)
    columns = columns.settled(records, None)
    check_codes(path, records, columns, from_one=from_one)
    for number, record in enumerate(records):
        with naming(path):
            verdicts.append(verdict_of(record, columns))
        group = next((str(record[name]) for name in GROUPS if record.get(name) is not None), None)
        groups.append(group or columns.id_of(record) or str(number))
    return verdicts, groups


def with_codes_of(labelled: LabelledSet, columns: Columns) -> Columns:
    """Return the columns with the labelled set's codes, which also hold for its verdicts unless --codes is given."""
    if columns.codes is not CODES or labelled.codes is None:
        return columns
    return replace(columns, codes=labelled.codes)


def _table(
    path: Path, records: Sequence[Record], labelled: LabelledSet, columns: Columns, *, own: bool, whole: bool
) -> Table:
    """Return a table of verdicts with its columns settled. Raises InputError if its verdicts are the labels."""
    _check_one_judge(path, records)
    settled = columns.settled(records, labelled.label)
    name = settled.verdict or settled.usual
    if own and labelled.label in (name, GAMES[0]) and labelled.label is not None:
        raise InputError(
            f"{path}: '{labelled.label}' has the labels, and they would be compared with themselves; leave out "
            "--verdicts to ask a judge, or name the column with a judge's verdicts with --verdict-column"
        )
    settled = with_codes_of(labelled, settled)
    return Table(path, records, settled, own=own, whole=whole)


def _by_comparison(rows: Sequence[Comparison], pairs: Sequence[LabelledPair]) -> list[Verdict | None]:
    known: dict[str, Verdict] = {}
    turned: dict[str, Verdict] = {}
    # the last row counts: one with a verdict, if there is one
    for comparison in sorted(rows, key=lambda comparison: comparison.winner is not None):
        verdict = comparison_verdict(comparison)
        turned[_pair_key(comparison.prompt, comparison.response_b, comparison.response_a)] = verdict.swapped()
        known[_pair_key(comparison.prompt, comparison.response_a, comparison.response_b)] = verdict
    known = {
        **turned,
        **{key: direct for key, direct in known.items() if direct.winner is not None or key not in turned},
    }
    return [known.get(_pair_key(pair.prompt, pair.response_a, pair.response_b)) for pair in pairs]


def _by_judgment(path: Path, labelled: LabelledSet, rows: Sequence[Judgment], sample: Sample) -> Stored:
    # of several rows on one text the last counts: one with a score, if there is one
    judgments = sorted(map(on_scale, rows), key=lambda judgment: judgment.score is not None)
    known = {
        _key(judgment.prompt, judgment.response): Grade(judgment.score, judgment.error, judgment.mass)
        for judgment in judgments
    }
    grades = [known.get(_key(item.prompt, item.response)) for item in labelled.scores]
    if labelled.scores and not labelled.pairs:
        return _restricted(path, labelled, [], grades, _judge(path, rows), sample)
    verdicts: list[Verdict | None] = []
    for pair in labelled.pairs:
        a, b = known.get(_key(pair.prompt, pair.response_a)), known.get(_key(pair.prompt, pair.response_b))
        verdicts.append(None if a is None or b is None else verdict_by_scores(a, b))
    return _restricted(path, labelled, verdicts, grades, _judge(path, rows), sample)


def _restricted(
    path: Path,
    labelled: LabelledSet,
    verdicts: Sequence[Verdict | None],
    grades: Sequence[Grade | None],
    judge: str,
    sample: Sample,
) -> Stored:
    """Return the sampled labelled rows that have a verdict in the file."""
    # By identity: two labelled rows may be equal, each with a verdict.
    verdict_of_row = {
        id(labelled_row): value
        for labelled_row, value in zip(labelled.pairs, verdicts, strict=False)
        if value is not None
    }
    grade_of_row = {
        id(labelled_row): value
        for labelled_row, value in zip(labelled.scores, grades, strict=False)
        if value is not None
    }
    drawn = sampled(labelled, sample.limit, sample.seed)
    pairs = tuple(pair for pair in drawn.pairs if id(pair) in verdict_of_row)
    scores = tuple(item for item in drawn.scores if id(item) in grade_of_row)
    n_all, n_found = (len(drawn.pairs), len(pairs)) if verdicts else (len(drawn.scores), len(scores))
    if n_found == 0:
        raise InputError(f"{path}: has no verdict on any of the {n_all} labelled rows")
    words = drawn.drawn
    if n_found < n_all:
        say(f"{path}: has verdicts on {n_found} of {n_all} labelled rows; the others are left out")
        words = f"the {n_found} of {n_all} rows on which the file has a verdict"
    restricted = replace(drawn, pairs=pairs, scores=scores, drawn=words)
    return Stored(
        restricted,
        [verdict_of_row[id(pair)] for pair in pairs],
        [grade_of_row[id(item)] for item in scores],
        judge,
        n_all,
    )


def _judge(path: Path, rows: Sequence[Comparison] | Sequence[Judgment]) -> str:
    judges = {judged.judge for judged in rows}
    if len(judges) > 1:
        names = ", ".join(sorted(judges))
        raise InputError(f"{path}: the verdicts are by {len(judges)} judges ({names}); give a file of one")
    return f"{judges.pop()}, rubric {rows[0].rubric}"


def _check_one_judge(path: Path, records: Sequence[Record]) -> None:
    """Raise InputError if the rows name several judges, because their verdicts cannot be pooled."""
    names = ("judge", "annotator", "judge_model", "reviewer_id")
    name = next((name for name in names if any(record.get(name) is not None for record in records)), None)
    if name is None:
        return
    judges = {judge_in({"judge": record[name]}) for record in records if record.get(name) is not None}
    if len(judges) > 1:
        shown = ", ".join(sorted(judges)[:3])
        raise InputError(f"{path}: the verdicts are by {len(judges)} judges ({shown}); give a file of one")


def _any_has(records: Sequence[Record], names: set[str]) -> bool:
    """Return whether one of the first records has these fields. The very first may be a bad row."""
    return any(names <= record.keys() for record in records[:TRIED])


def _decoded(located: Sequence[tuple[str, Record]], row_type: type[RowT], path: Path, bad: BadRows) -> list[RowT]:
    """Return one row per id. A row that was judged again occurs twice, and its last occurrence has a verdict."""
    rows: list[RowT] = []
    for where, record in located:
        try:
            rows.append(typed(record, row_type))
        except InputError as error:
            bad.add(RowError(f"{where}: {error}"))
    if not rows:
        raise InputError(f"{path}: no {row_type.__name__} row in it: {bad.summary()}")
    # By id, because the order in the file is that in which a server replied.
    return sorted(_last(rows, lambda row: row.id, lambda row: row.error is None), key=lambda row: row.id)


def _last(items: Sequence[Any], key_of: Any, is_whole: Any) -> list[Any]:
    """Return one row per key: the last whole one, else the last."""
    last: dict[str, Any] = {}
    for item in items:
        key = key_of(item)
        if key not in last or is_whole(item) or not is_whole(last[key]):
            last[key] = item
    return list(last.values())


def _key(prompt: str | list[Message], response: str) -> str:
    return content_key(text_of(prompt), response)


def _pair_key(prompt: str | list[Message], response_a: str, response_b: str) -> str:
    return content_key(text_of(prompt), response_a, response_b)
