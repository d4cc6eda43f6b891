"""Matches rows by their place alone: by a key that counts them, or as a last resort by their order."""

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
    """The places of the labelled rows in their file."""

    of_rows: Sequence[int]
    n_rows: int
    """The number of rows of the file, bad ones included."""
    whole: bool
    """Whether every line of both files could be read, so that places mean the same in both."""
    known: bool = False
    """Whether each labelled row is one row of its file."""


def first_of(name: str, keys: Collection[str], n_rows: int) -> int | None:
    """Return whether a key counts `n_rows` rows from 0 or from 1, or None if it does not count them."""
    if not keys or not all(key.isdecimal() for key in keys):
        return None
    least, most = min(map(int, keys)), max(map(int, keys))
    if most < n_rows and (least == 0 or name in COUNTED):
        return 0
    return 1 if least >= 1 and most <= n_rows else None


def count_apart(names: tuple[str, str], keys: tuple[Collection[str], Collection[str]], n_rows: int) -> bool:
    """Return whether two keys count rows from different numbers, so that equal keys are different rows."""
    first, second = (first_of(name, values, n_rows) for name, values in zip(names, keys, strict=True))
    return first is not None and second is not None and first != second


def by_place(labelled: Sequence[Traits], table: Sequence[Traits], places: Places) -> Joined:
    """Return the rows of `table` by a key that counts the labelled rows, or by the order of the rows.

    Raises InputError if a shared key or text contradicts that order, or if nothing supports it.
    """
    label_keys, table_keys = columns_of(labelled), columns_of(table)
    numbered = _numbers(table, table_keys, places.n_rows)
    counted = any(
        first_of(name, {traits.keys.get(name, "") for traits in labelled}, places.n_rows) is not None
        for name in label_keys
    )
    if label_keys and table_keys and not (numbered and numbered[0] not in label_keys and counted):
        raise InputError(
            f"no verdict is on any labelled row: the keys ({', '.join(table_keys)} there, {', '.join(label_keys)} in "
            "the labelled file) have no value in common; name the right column with --id-column"
        )
    if table_keys and numbered is None:
        raise InputError(
            f"the verdicts are keyed by {', '.join(table_keys)}, and the labelled file has no such column and no texts "
            "in common with them: add the key to it, or texts to the verdicts"
        )
    if numbered is not None:
        return _by_number(labelled, table, places, *numbered)
    _check_order(labelled, table, places)
    sides = [(number, side_of(traits, table[number])) for traits, number in _placed(labelled, places)]
    if others := [f"row {number + 1}" for number, side in sides if side is None]:
        raise InputError(
            "the verdicts have no key, and in the order of the rows they are about other models "
            f"({', '.join(others[:SHOWN])}): give both files a column with the same key, and name it with --id-column"
        )
    return Joined(PLACE, [[Match(number, *side)] for number, side in sides if side is not None])


def _placed(labelled: Sequence[Traits], places: Places) -> list[tuple[Traits, int]]:
    return list(zip(labelled, places.of_rows, strict=True))


def _by_number(labelled: Sequence[Traits], table: Sequence[Traits], places: Places, name: str, first: int) -> Joined:
    """Return the rows by the key `name`, without those whose texts or models differ from the labelled row's."""
    rows: dict[int, list[int]] = defaultdict(list)
    for number, entry in enumerate(table):
        rows[int(entry.keys[name]) - first].append(number)
    joined = Joined(f"'{name}', which counts the labelled rows from {first}", [])
    n_same = 0
    for traits, place in _placed(labelled, places):
        told = {number: side for number in rows[place] if (side := _agreed(traits, table[number])) is not None}
        joined.matches.append([Match(number, *side) for number, side in told.items()])
        joined.differing += [f"row {number + 1}" for number in rows[place] if number not in told]
        n_same += len(told)
    if len(joined.differing) > n_same:
        raise InputError(
            f"the key {joined.how}, but the prompts, answers or models there are others than those of the verdicts "
            f"({', '.join(joined.differing[:SHOWN])}): give both files a column with the same key, and name it with "
            "--id-column"
        )
    return joined


def _agreed(traits: Traits, entry: Traits) -> tuple[bool, bool] | None:
    """Return the sides as `side_of` does, or None if also the prompts differ. A prompt may be framed by other words."""
    side = side_of(traits, entry)
    if side is None or not traits.prompt or not entry.prompt or side[1]:
        return side
    return side if traits.prompt in entry.prompt or entry.prompt in traits.prompt else None


def _check_order(labelled: Sequence[Traits], table: Sequence[Traits], places: Places) -> None:
    """Raise InputError if the two files have different lengths, or texts that show another order."""
    if len(table) != places.n_rows or not places.whole:
        damaged = "" if places.whole else ", of which some rows cannot be read"
        raise InputError(
            f"{len(table)} verdicts without a key for {places.n_rows} labelled rows{damaged}: what belongs together "
            "cannot be told; give both files a column with the same key, and name it with --id-column"
        )
    if any(traits.prompt or traits.texts for traits in labelled):
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
    """Return the key that only numbers the rows of the labelled file, and whether it starts at 0 or 1."""
    for name in names:
        keys = [entry.keys.get(name, "") for entry in table]
        first = first_of(name, keys, n_rows)
        # Without the last row's number a key from 1 on may as well count from 0 and lack the first row.
        if first == 0 or (first == 1 and max(map(int, keys)) == n_rows):
            return name, first
    return None
