"""Reads what KTO learns from: preference pairs, or answers of which each is good or bad by itself."""

from collections.abc import Iterator
from pathlib import Path

from console.errors import InputError
from records.fields.labelled import Labels, check_codes
from records.fields.labels import Codes
from records.fields.notes import Notes
from records.fields.preferences import names_in
from records.fields.wanted import is_good
from records.files import BadRows, Record
from records.rows import Message, Pair, Row, messages_of
from records.shapes import located, pairs_of, responses_of, several_in


class Rated(Row, frozen=True, kw_only=True):
    """An answer that is good or bad by itself."""

    prompt: list[Message]
    answer: list[Message]
    is_good: bool
    finish_reason: str | None = None
    """How the answer ended, as a response's `finish_reason` says it."""


def read_rated(source: str | Path, bad: BadRows, codes: Codes | None = None) -> Iterator[Pair | Rated]:
    """Yield the pairs and the rated answers of a file. docs/train.md lists the formats. Ties are left out.

    A row's `weight` is not used, and it is told.

    Raises InputError as `records.shapes.read_pairs` does.
    """
    check_codes(source, codes)
    labels = Labels(source, codes)
    rows = located(source, bad, lambda record: rated_of(labels.seen(record), codes), Notes.unweighted, text_only=True)
    yield from (row for _, row in rows)
    labels.check()


def rated_of(record: Record, codes: Codes | None = None) -> list[Pair | Rated]:
    """Return the pairs of one record, or its one answer with its label. Raises InputError if it has neither."""
    if names_in(record) is not None or several_in(record):
        return list(pairs_of(record, codes))
    [row] = responses_of(record)
    good = is_good(record)
    if not row.response.strip():
        raise InputError("the answer is empty")
    answer: list[Message] = [{"role": "assistant", "content": row.response}]
    return [Rated(prompt=messages_of(row.prompt), answer=answer, is_good=good, finish_reason=row.finish_reason)]
