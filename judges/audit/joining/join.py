"""Finds the labelled rows that a table's rows are about; the order of the rows decides only where nothing else can."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from console.errors import InputError
from judges.labelled.traits import TURN, Traits, columns_of

PLACE = "the order of the rows, because there is no key and there are no texts to go by"
SHOWN = 3
COUNTED = ("idx", "index")
"""Keys that count from 0 by their name."""


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


@dataclass(frozen=True)
class Match:
    """A row of the table that is about a labelled row."""

    entry: int
    exchanged: bool
    """Whether the two answers stand the other way round in the table."""
    sided: bool
    """Whether texts or models said which way round they stand."""


@dataclass
class Joined:
    """What belongs together, and what was left over."""

    how: str
    """By what, in words."""
    matches: list[list[Match]]
    """For each labelled row what the table has on it."""
    strangers: list[str] = field(default_factory=list)
    """Rows of the table that are about no labelled row, by their key."""
    ambiguous: list[str] = field(default_factory=list)
    """Rows of the table that may be about several labelled rows which differ."""
    differing: list[str] = field(default_factory=list)
    """Rows of the table whose key a labelled row has, but with other answers."""


def join(labelled: Sequence[Traits], table: Sequence[Traits], places: Places, given: str | None) -> Joined:
    """Return which rows of `table` are about which labelled ones.

    By `given`, the column that --id-column names; else by the key column that finds most rows; else by the answers;
    else by the prompt. What shares a key is told apart by turn, models and texts. Where there is none of these the
    rows go by `places`, if the two files are of one length. Raises InputError where nothing says what belongs together.
    """
    keyed = [
        _by(how, labelled, table, _key_named(mine), _key_named(theirs))
        for mine, theirs, how in _key_pairs(labelled, table, given)
    ]
    best = max(keyed, key=_n_matched, default=None)
    if given and (best is None or not any(best.matches)):
        raise InputError(f"--id-column {given}: no row of the verdicts has the '{given}' of a labelled row")
    if best and given:
        return best
    worded = _by_words(labelled, table)
    if best and _n_matched(best) * 2 > min(len(labelled), len(table)):
        told = _told_by_prompts(best, labelled, table)
        return worded if told is None and worded and _n_matched(worded) * 2 > _n_matched(best) else told or best
    found = [one for one in (worded, best) if one is not None and any(one.matches)]
    if not found and best and (best.ambiguous or best.differing):
        raise InputError(_why_none(best))
    return max(found, key=_n_matched) if found else _by_place(labelled, table, places)


def _why_none(keyed: Joined) -> str:
    names = ", ".join(list(dict.fromkeys([*keyed.ambiguous, *keyed.differing]))[:SHOWN])
    if keyed.ambiguous:
        return (
            f"the key {keyed.how} has several labelled rows that differ for each verdict ({names}), so which is "
            "meant cannot be told: give both files a key of the row (--id-column), or add models or texts"
        )
    return f"the key {keyed.how} names labelled rows with other answers or models than the verdicts ({names})"


def _told_by_prompts(keyed: Joined, labelled: Sequence[Traits], table: Sequence[Traits]) -> Joined | None:
    """Return what keys found without rows that ask something else; None where that is most of them.

    Then either the keys count the rows of each file for themselves, or the two files write their prompts differently.
    """
    same: list[bool] = []
    kept = Joined(keyed.how, [], list(keyed.strangers), list(keyed.ambiguous), list(keyed.differing))
    for row, matches in zip(labelled, keyed.matches, strict=True):
        known = [match for match in matches if row.prompt and table[match.entry].prompt and not match.sided]
        other = [match for match in known if row.prompt != table[match.entry].prompt]
        same += [match not in other for match in known]
        kept.matches.append([match for match in matches if match not in other])
        kept.differing += [f"row {match.entry + 1}" for match in other]
    return kept if sum(same) * 2 >= len(same) else None


def _by_words(labelled: Sequence[Traits], table: Sequence[Traits]) -> Joined | None:
    """Return what the answers tell, with the prompt wherever that has the same words in both files; else the prompt."""

    def both_have(has: Callable[[Traits], object]) -> bool:
        return all(sum(bool(has(row)) for row in rows) * 2 > len(rows) for rows in (labelled, table))

    texts = prompts = None
    if both_have(lambda row: row.texts):
        texts = _by("the answers' texts", labelled, table, _answers_of, _answers_of)
    if both_have(lambda row: row.prompt):
        prompts = _by("the prompts", labelled, table, lambda row: row.prompt, lambda row: row.prompt)
    if texts is None or prompts is None:
        return texts or prompts
    whole = _by("the prompts and the answers", labelled, table, _request_of, _request_of)
    return whole if _n_matched(whole) * 2 > _n_matched(texts) else texts


def _answers_of(row: Traits) -> str:
    return "\0".join(sorted(row.texts))


def _request_of(row: Traits) -> str:
    return f"{row.prompt}\0{_answers_of(row)}" if row.prompt and row.texts else ""


def _key_named(name: str) -> Callable[[Traits], str]:
    return lambda row: row.keys.get(name, "")


def _key_pairs(labelled: Sequence[Traits], table: Sequence[Traits], given: str | None) -> list[tuple[str, str, str]]:
    """Return the key columns to try: of the labelled rows, of the table, and in words; those of one name first."""
    own, theirs = columns_of(labelled), columns_of(table)
    if given is not None:
        theirs = [given] if given in theirs else theirs
        own = [given] if given in own else own
    same = [(name, name, f"'{name}'") for name in theirs if name in own]
    values = {name: {row.keys.get(name) for row in labelled} - {None} for name in own}
    if any(row.keys.get(name) in values[name] for name, _, _ in same for row in table):
        return same
    return [(mine, name, f"'{name}', which is '{mine}' in the labelled file") for name in theirs for mine in own]


def _by(
    how: str,
    labelled: Sequence[Traits],
    table: Sequence[Traits],
    own_key: Callable[[Traits], str],
    their_key: Callable[[Traits], str],
) -> Joined:
    index: Mapping[str, list[int]] = defaultdict(list)
    for place, row in enumerate(labelled):
        if key := own_key(row):
            index[key].append(place)
    found = Joined(how, [[] for _ in labelled])
    turns = any(row.turn for row in (*labelled, *table))
    keyed = how.startswith("'")
    for number, entry in enumerate(table):
        key = their_key(entry)
        name = key if keyed and key else f"row {number + 1}"
        candidates = [(place, labelled[place]) for place in (index.get(key, ()) if key else ())]
        if turns:
            candidates = [(place, row) for place, row in candidates if (row.turn or TURN) == (entry.turn or TURN)]
        if not candidates:
            found.strangers.append(name)
            continue
        _put(number, name, entry, candidates, found)
    return found


def _put(number: int, name: str, entry: Traits, candidates: Sequence[tuple[int, Traits]], found: Joined) -> None:
    """Put one row of the table to the labelled row, or the equal ones, that it is about."""
    sides = [(place, row, side) for place, row in candidates if (side := _side(row, entry)) is not None]
    if not sides:
        found.differing.append(name)
        return
    for agrees in (_same_models, _same_prompt, _same_texts):
        sides = [one for one in sides if agrees(one[1], entry)] or sides
    if len(sides) > 1 and not _is_one([row for _, row, _ in sides]):
        found.ambiguous.append(name)
        return
    for place, _, (exchanged, sided) in sides:
        found.matches[place].append(Match(number, exchanged, sided))


def _same_models(row: Traits, other: Traits) -> bool:
    return bool(row.models) and sorted(row.models) == sorted(other.models)


def _same_texts(row: Traits, other: Traits) -> bool:
    return bool(row.texts) and sorted(row.texts) == sorted(other.texts)


def _same_prompt(row: Traits, other: Traits) -> bool:
    return bool(row.prompt) and row.prompt == other.prompt


def _is_one(rows: Sequence[Traits]) -> bool:
    """Return whether what is said of one of the rows is said of all: it is about the same answers."""
    first = rows[0]
    if first.texts:
        return all(_same_texts(row, first) and row.prompt == first.prompt for row in rows)
    return all(_same_models(row, first) for row in rows)


def _side(row: Traits, entry: Traits) -> tuple[bool, bool] | None:
    """Return whether the sides are exchanged, and whether anything said so; None where the answers are others."""
    pairs = [(row.texts, entry.texts), (row.models, entry.models)]
    known = [(mine, theirs) for mine, theirs in pairs if len(mine) == len(theirs) > 0]
    for mine, theirs in known:
        if len(set(mine)) == len(mine) and sorted(mine) == sorted(theirs):
            return mine != theirs, True
    if any(sorted(mine) != sorted(theirs) for mine, theirs in known):
        return None
    return False, False


def _by_place(labelled: Sequence[Traits], table: Sequence[Traits], places: Places) -> Joined:
    own, theirs = columns_of(labelled), columns_of(table)
    if own and theirs:
        raise InputError(
            f"no verdict is on any labelled row: the keys ({', '.join(theirs)} there, {', '.join(own)} in the labelled "
            "file) have no value in common; name the right column with --id-column"
        )
    numbered = _numbers(table, theirs, places.n_rows)
    if theirs and numbered is None:
        raise InputError(
            f"the verdicts are keyed by {', '.join(theirs)}, and the labelled file has no such column and no texts in "
            "common with them: add the key to it, or texts to the verdicts"
        )
    if numbered is None and (len(table) != places.n_rows or not places.whole):
        damaged = "" if places.whole else ", of which some rows cannot be read"
        raise InputError(
            f"{len(table)} verdicts without a key for {places.n_rows} labelled rows{damaged}: what belongs together "
            "cannot be told; give both files a column with the same key, and name it with --id-column"
        )
    name, first = numbered or ("", 0)
    rows: dict[int, list[int]] = defaultdict(list)
    for number, row in enumerate(table):
        rows[int(row.keys[name]) - first if name else number].append(number)
    how = f"'{name}', which counts the labelled rows from {first}" if name else PLACE
    return Joined(how, [[Match(number, False, False) for number in rows[place]] for place in places.of_rows])


def _numbers(table: Sequence[Traits], names: Sequence[str], n_rows: int) -> tuple[str, int] | None:
    """Return the key that only counts the rows of the labelled file, and whether from 0 or from 1."""
    for name in names:
        values = [row.keys.get(name, "") for row in table]
        if not all(value.isdecimal() for value in values):
            continue
        least, most = min(map(int, values)), max(map(int, values))
        if most < n_rows and (least == 0 or name in COUNTED):
            return name, 0
        if least >= 1 and most == n_rows:
            return name, 1
    return None


def _n_matched(joined: Joined) -> int:
    return sum(map(bool, joined.matches))
