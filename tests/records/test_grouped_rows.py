import random
import sqlite3
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.errors import StoreError
from records import Prompt
from records.disk import DiskRanks, DiskRows, DiskSet, GroupedRows, RowIndex

KEYED = st.lists(st.tuples(st.text(max_size=2), st.sampled_from("xyzé") | st.none(), st.text(max_size=3)))


@settings(deadline=None)
@given(KEYED, st.integers(1, 4) | st.none())
def test_rows_come_grouped_once_an_id_as_from_dicts(
    items: list[tuple[str, str | None, str]], limit: int | None
) -> None:
    found = GroupedRows(Prompt, limit)
    latest: dict[object, tuple[str, Prompt]] = {}
    for number, (key, row_id, text) in enumerate(items):
        row = Prompt(id=row_id or "", prompt=text)
        found.put(row, key, row_id)
        latest[number if row_id is None else row_id] = key, row
    groups: dict[str, list[Prompt]] = {}
    for key, row in latest.values():
        groups.setdefault(key, []).append(row)
    groups = dict(list(groups.items())[:limit])
    kept = [(key, row) for key, row in latest.values() if key in groups]
    assert list(found) == [row for _, row in kept] and len(found) == len(kept)
    assert list(found.groups()) == list(groups.values())
    ends = {key: place for place, (key, _) in enumerate(kept)}
    assert list(found.groups(by_last=True)) == [groups[key] for key in sorted(groups, key=ends.__getitem__)]


def test_rows_on_disk_are_a_list() -> None:
    rows = DiskRows(Prompt)
    assert not rows and list(rows) == []
    wanted = [Prompt(id=f"{number}", prompt="é" * number) for number in range(5)]
    for row in wanted:
        rows.append(row)
    assert list(rows) == wanted == list(rows) and len(rows) == 5


def test_ranks_on_disk_sort_as_lists_do() -> None:
    draw = random.Random(0)
    ranks = [(draw.choice((-1.5, 0.0, 2.0)), draw.randrange(3), draw.choice("abé")) for _ in range(200)]
    found = DiskRanks()
    for number, rank in enumerate(ranks):
        found.append(rank, number % 3)
    assert found.sizes() == [67, 67, 66]
    wanted = {n for kind in range(3) for n in sorted(range(kind, 200, 3), key=ranks.__getitem__)[:20]}
    assert list(found.first(20)) == sorted(wanted)


def test_a_full_disk_for_temporary_files_is_an_error_that_names_it() -> None:
    rows, ids, index = DiskRows(Prompt), DiskSet(), RowIndex()
    fill: list[tuple[sqlite3.Connection, Callable[[str], object]]] = [
        (rows._db, lambda text: rows.append(Prompt(id="", prompt=text))),
        (ids._dict._db, ids.add),
        (index._db, lambda text: index.put(text, 0, is_done=True)),
    ]
    for database, add in fill:
        database.execute("PRAGMA max_page_count = 20")
        with pytest.raises(StoreError, match="temporary files, .*full; free some, or set TMPDIR"):
            for number in range(1000):
                add(f"{number}{'x' * 1000}")
