"""Checks whether the labels of a file are clear by themselves or need --codes."""

from pathlib import Path

from console.errors import InputError
from records.fields.better import label_in
from records.fields.labels import Codes, Scale, by_name
from records.fields.preferences import counts_from_one, counts_from_zero, has_own_codes, names_in
from records.files import BadRows, Record, read_records

LABELLED_WITHIN = 20
"""A file whose first rows have no label is not read in advance for them."""


class Labels:
    """The labels of a file's records as they are read: whether all of them can be read without `codes`."""

    def __init__(self, source: str | Path, codes: Codes | None, flag: str = "--codes") -> None:
        self._source, self._codes, self._flag = source, codes, flag
        self._scale = Scale()

    def seen(self, record: Record) -> Record:
        """Return the record, its labels counted."""
        if self._codes is None:
            from_zero = counts_from_zero(_names(record))
            self._scale.add(_labels_of(record), from_zero=from_zero, from_one=counts_from_one(record))
        return record

    def check(self) -> None:
        """Raise InputError if what was seen may mean either side, or is of a scale that is not known."""
        self._scale.check(self._source, self._flag)


def check_codes(source: str | Path, codes: Codes | None, flag: str = "--codes") -> None:
    """Read a file's labels in advance, so that nothing is done with a part of it, and raise what `Labels.check` does.

    A file whose first records have none is not read whole: its labels are checked at the end.
    """
    if codes is not None:
        return
    labels, n_without = Labels(source, codes, flag), 0
    for _, record in read_records(source, BadRows(quiet=True)):
        n_without += not _labels_of(labels.seen(record))
        if n_without == LABELLED_WITHIN:
            return
    labels.check()


def _labels_of(record: Record) -> list[object]:
    """Return the labels of a record whose meaning its format does not fix."""
    names = _names(record)
    if not names or has_own_codes(names):
        return []
    return [label for label in label_in(record).values() if not by_name(label, names)]


def _names(record: Record) -> tuple[str, str] | None:
    try:
        return names_in(record)
    except InputError:
        return None
