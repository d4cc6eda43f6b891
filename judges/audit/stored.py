"""Verdicts that are there already: this project's rows, or any table with a column for them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from console.errors import InputError
from console.progress import say
from judges.audit.columns import Columns, grade_of, verdict_of
from judges.audit.labels import (
    Grade,
    LabelledPair,
    LabelledSet,
    Verdict,
    verdict_by_scores,
)
from records.files import BadRows, Record, read_records
from records.keys import content_key
from records.rows import Comparison, Judgment, Message, text_of


@dataclass(frozen=True)
class Stored:
    """A labelled set with what a judge said about it, in the same order."""

    labelled: LabelledSet
    verdicts: Sequence[Verdict]
    grades: Sequence[Grade]
    judge: str
    """What the file says about the judge."""


def stored_verdicts(path: Path, labelled: LabelledSet, columns: Columns, bad: BadRows) -> Stored:
    """Return the verdicts in `path` on the rows of `labelled`.

    This project's rows are found by their texts, a pair in either order; rows of a table by their id, or by their
    place where neither file has ids. Labelled rows that the file does not have are left out, and said. Raises
    InputError where none is found, or where the file is by several judges.
    """
    records = [record for _, record in read_records(path, bad)]
    first = records[0]
    if {"response_a", "first_order", "judge"} <= first.keys():
        rows = _decoded(records, Comparison, path)
        return _restricted(path, labelled, _by_comparison(rows, labelled.pairs), [], _judge(rows))
    if {"response_id", "scores", "judge"} <= first.keys():
        judged = _decoded(records, Judgment, path)
        return _by_judgment(path, labelled, judged)
    if labelled.pairs:
        found = _matched(records, [pair.id for pair in labelled.pairs], columns, path)
        verdicts = [None if record is None else verdict_of(record, columns) for record in found]
        return _restricted(path, labelled, verdicts, [], path.name)
    found = _matched(records, [item.id for item in labelled.scores], columns, path)
    return _restricted(
        path, labelled, [], [None if record is None else grade_of(record, columns) for record in found], path.name
    )


def comparison_verdict(row: Comparison) -> Verdict:
    """Return what a stored comparison says."""
    return Verdict(row.winner, row.preference_b, None, row.first_order, row.second_order, row.error, row.mass)


def unlabelled_verdicts(path: Path, columns: Columns, bad: BadRows) -> tuple[list[Verdict], list[str]]:
    """Return the verdicts of a file without labels, and the prompt of each: for a win rate to be corrected."""
    verdicts, groups = [], []
    records = [record for _, record in read_records(path, bad)]
    if {"response_a", "first_order", "judge", "id"} <= records[0].keys():
        records = list({record["id"]: record for record in records}.values())  # a row that was done again counts once
        if len(judges := {str(record["judge"]) for record in records}) > 1:
            raise InputError(f"{path}: the comparisons are by {len(judges)} judges; give a file of one")
    for number, record in enumerate(records):
        verdicts.append(verdict_of(record, columns))
        groups.append(str(record.get("prompt_id") or columns.id_of(record) or number))
    return verdicts, groups


def _by_comparison(rows: Sequence[Comparison], pairs: Sequence[LabelledPair]) -> list[Verdict | None]:
    known: dict[str, Verdict] = {}
    for row in rows:
        verdict = comparison_verdict(row)
        known.setdefault(_pair_key(row.prompt, row.response_b, row.response_a), verdict.swapped())
        known[_pair_key(row.prompt, row.response_a, row.response_b)] = verdict
    return [known.get(_pair_key(pair.prompt, pair.response_a, pair.response_b)) for pair in pairs]


def _by_judgment(path: Path, labelled: LabelledSet, rows: Sequence[Judgment]) -> Stored:
    known = {_key(row.prompt, row.response): Grade(row.score, row.error, row.mass) for row in rows}
    grades = [known.get(_key(item.prompt, item.response)) for item in labelled.scores]
    if labelled.scores and not labelled.pairs:
        return _restricted(path, labelled, [], grades, _judge(rows))
    verdicts: list[Verdict | None] = []
    for pair in labelled.pairs:
        a, b = known.get(_key(pair.prompt, pair.response_a)), known.get(_key(pair.prompt, pair.response_b))
        verdicts.append(None if a is None or b is None else verdict_by_scores(a, b))
    return _restricted(path, labelled, verdicts, grades, _judge(rows))


def _matched(records: Sequence[Record], ids: Sequence[str], columns: Columns, path: Path) -> list[Record | None]:
    by_id = {row_id: record for record in records if (row_id := columns.id_of(record)) is not None}
    if by_id:
        return [by_id.get(row_id) for row_id in ids]
    if len(records) != len(ids):
        raise InputError(
            f"{path}: {len(records)} rows without an id for {len(ids)} labelled ones; name it: --id-column"
        )
    return list(records)


def _restricted(
    path: Path,
    labelled: LabelledSet,
    verdicts: Sequence[Verdict | None],
    grades: Sequence[Grade | None],
    judge: str,
) -> Stored:
    pairs = [pair for pair, verdict in zip(labelled.pairs, verdicts, strict=False) if verdict is not None]
    scores = [item for item, grade in zip(labelled.scores, grades, strict=False) if grade is not None]
    n_all, n_found = (len(labelled.pairs), len(pairs)) if verdicts else (len(labelled.scores), len(scores))
    if n_found == 0:
        raise InputError(f"{path}: has no verdict on any of the {n_all} labelled rows")
    drawn = labelled.drawn
    if n_found < n_all:
        say(f"{path}: has verdicts on {n_found} of {n_all} labelled rows; the others are left out")
        drawn = f"the {n_found} of {n_all} rows on which the file has a verdict"
    kept = replace(labelled, pairs=tuple(pairs), scores=tuple(scores), drawn=drawn)
    return Stored(kept, [v for v in verdicts if v is not None], [g for g in grades if g is not None], judge)


def _judge(rows: Sequence[Comparison] | Sequence[Judgment]) -> str:
    judges = {row.judge for row in rows}
    if len(judges) > 1:
        raise InputError(f"the verdicts are by {len(judges)} judges ({', '.join(sorted(judges))}); give a file of one")
    return f"{judges.pop()}, rubric {rows[0].rubric}"


def _decoded(records: Sequence[Record], row_type: type, path: Path) -> list:  # type: ignore[type-arg]
    try:
        rows: list[Any] = msgspec.convert(list(records), list[row_type])  # type: ignore[valid-type]
        return list({row.id: row for row in rows}.values())  # a row that was done again stands there twice
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: not {row_type.__name__} rows: {error}") from None


def _key(prompt: str | list[Message], response: str) -> str:
    return content_key(text_of(prompt), response)


def _pair_key(prompt: str | list[Message], response_a: str, response_b: str) -> str:
    return content_key(text_of(prompt), response_a, response_b)
