"""Rows that are told by their place alone: by a key that counts them, or at last by their order."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from console.errors import InputError
from judges.audit.joining.matches import Joined, Match, side_of
from judges.labelled.traits import Traits, columns_of

PLACE = "the order of the rows, because there is no key and there are no texts to go by"
COUNTED = ("idx", "index", "Unnamed: 0", "__index_level_0__")
"""Keys that count from 0 by their name."""
SHOWN = 3


@dataclass(frozen=True)
class Places:
    """Where the labelled rows stand in their file."""

    of_rows: Sequence[int]
    n_rows: int
    """How many rows the file has, bad ones too."""
    whole: bool
    """Whether every line of both files could be read, so that places mean the same in both."""
    known: bool = False
    """Whether each labelled row is one row of its file."""


def first_of(name: str, keys: Collection[str], n_rows: int) -> int | None:
    """Return whether a key counts `n_rows` rows from 0 or from 1, None where it does not look as if it counted them."""
    if not keys or not all(key.isdecimal() for key in keys):
        return None
    least, most = min(map(int, keys)), max(map(int, keys))
    if most < n_rows and (least == 0 or name in COUNTED):
        return 0
    return 1 if least >= 1 and most <= n_rows else None


def count_apart(names: tuple[str, str], keys: tuple[Collection[str], Collection[str]], n_rows: int) -> bool:
    """Return whether two keys count rows from different numbers, so that equal ones are different rows."""
    one, other = (first_of(name, own, n_rows) for name, own in zip(names, keys, strict=True))
    return one is not None and other is not None and one != other


def by_place(labelled: Sequence[Traits], table: Sequence[Traits], places: Places) -> Joined:
    """Return the rows of `table` by what counts the labelled rows, or by the order of the rows.

    Raises InputError where a key or a text that both have says that it is another, or nothing says that it is not.
    """
    own, theirs = columns_of(labelled), columns_of(table)
    numbered = _numbers(table, theirs, places.n_rows)
    counted = any(
        first_of(name, {row.keys.get(name, "") for row in labelled}, places.n_rows) is not None for name in own
    )
    if own and theirs and not (numbered and numbered[0] not in own and counted):
        raise InputError(
            f"no verdict is on any labelled row: the keys ({', '.join(theirs)} there, {', '.join(own)} in the labelled "
            "file) have no value in common; name the right column with --id-column"
        )
    if theirs and numbered is None:
        raise InputError(
            f"the verdicts are keyed by {', '.join(theirs)}, and the labelled file has no such column and no texts in "
            "common with them: add the key to it, or texts to the verdicts"
        )
    if numbered is not None:
        return _by_number(labelled, table, places, *numbered)
    _check_order(labelled, table, places)
    sides = [(number, side_of(row, table[number])) for row, number in _placed(labelled, places)]
    if others := [f"row {number + 1}" for number, side in sides if side is None]:
        raise InputError(
            "the verdicts have no key, and in the order of the rows they are about other models "
            f"({', '.join(others[:SHOWN])}): give both files a column with the same key, and name it with --id-column"
        )
    return Joined(PLACE, [[Match(number, *side)] for number, side in sides if side is not None])


def _placed(labelled: Sequence[Traits], places: Places) -> list[tuple[Traits, int]]:
    return list(zip(labelled, places.of_rows, strict=True))


def _by_number(labelled: Sequence[Traits], table: Sequence[Traits], places: Places, name: str, first: int) -> Joined:
    """Return the rows by the key `name`, without those whose texts or models are others than the labelled row's."""
    rows: dict[int, list[int]] = defaultdict(list)
    for number, entry in enumerate(table):
        rows[int(entry.keys[name]) - first].append(number)
    found = Joined(f"'{name}', which counts the labelled rows from {first}", [])
    n_same = 0
    for row, place in _placed(labelled, places):
        told = {number: side for number in rows[place] if (side := _agreed(row, table[number])) is not None}
        found.matches.append([Match(number, *side) for number, side in told.items()])
        found.differing += [f"row {number + 1}" for number in rows[place] if number not in told]
        n_same += len(told)
    if len(found.differing) > n_same:
        raise InputError(
            f"the key {found.how}, but the prompts, answers or models there are others than those of the verdicts "
            f"({', '.join(found.differing[:SHOWN])}): give both files a column with the same key, and name it with "
            "--id-column"
        )
    return found


def _agreed(row: Traits, entry: Traits) -> tuple[bool, bool] | None:
    """Return which side is which, None where the prompts, answers or models are others; a prompt may be framed."""
    side = side_of(row, entry)
    if side is None or not row.prompt or not entry.prompt or side[1]:
        return side
    return side if row.prompt in entry.prompt or entry.prompt in row.prompt else None


def _check_order(labelled: Sequence[Traits], table: Sequence[Traits], places: Places) -> None:
    """Raise InputError where the two files are of different length, or have texts that show another order."""
    if len(table) != places.n_rows or not places.whole:
        damaged = "" if places.whole else ", of which some rows cannot be read"
        raise InputError(
            f"{len(table)} verdicts without a key for {places.n_rows} labelled rows{damaged}: what belongs together "
            "cannot be told; give both files a column with the same key, and name it with --id-column"
        )
    if any(row.prompt or row.texts for row in labelled):
        if any(entry.prompt or entry.texts for entry in table):
            raise InputError(
                "the verdicts have no key, and their prompts or answers are those of no labelled row, so the order of "
                "the rows is not to be trusted: give both files a column with the same key, and name it with "
                "--id-column, or leave these texts out of the verdicts if their order is that of the labelled rows"
            )
        if any(entry.lone for entry in table):
            raise InputError(
                "the verdicts have no key, and of each two answers the text of one alone, which does not tell them "
                "apart from others: add the other answer, or a key (--id-column)"
            )


def _numbers(table: Sequence[Traits], names: Sequence[str], n_rows: int) -> tuple[str, int] | None:
    """Return the key that only counts the rows of the labelled file, and whether from 0 or from 1."""
    for name in names:
        keys = [row.keys.get(name, "") for row in table]
        first = first_of(name, keys, n_rows)
        if first == 0 or (first == 1 and max(map(int, keys)) == n_rows):
            return name, first
    return None
