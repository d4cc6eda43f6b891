"""Runs a stage: rows are stored one by one as they come, and the stage returns those that were asked for."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from console.progress import progress
from records.rows import Identified
from records.store import Store

RowT = TypeVar("RowT", bound=Identified)


def complete(store: Store[RowT], wanted: Sequence[str], rows: Iterator[RowT], title: str) -> list[RowT]:
    """Append `rows` to `store`, showing progress, and return the rows with the ids `wanted`, in that order.

    Rows that `store` holds already are taken from it. `rows` yields the others. An id without a row is left out. A row
    that the next run asks for again, because a call failed, is not shown as done.
    """
    n_done = sum(row_id in store for row_id in dict.fromkeys(wanted))  # an id asked for twice is one row
    with progress(title, len(set(wanted)), n_done) as advance:
        for row in rows:
            store.append(row)
            if store.is_finished(row):
                advance(1)
    return list(store.chosen(dict.fromkeys(wanted)))
