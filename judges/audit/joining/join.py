"""Finds the labelled rows that a table's rows are about; the order of the rows decides only where nothing else can."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from console.errors import InputError
from judges.audit.joining.matches import Joined, Match, n_matched, side_of
from judges.audit.joining.places import SHOWN, Places, by_place, count_apart
from judges.labelled.traits import FIRST_TURN, Traits, columns_of, turns_of


def join(labelled: Sequence[Traits], table: Sequence[Traits], places: Places, given: str | None) -> Joined:
    """Return which rows of `table` are about which labelled ones.

    By `given`, the column that --id-column names; else by the key column that finds most rows; else by the answers;
    else by the prompt. What shares a key is told apart by turn, models and texts. Where there is none of these the
    rows go by `places`, if the two files are of one length. Raises InputError where nothing says what belongs together.
    """
    pairs = _key_pairs(labelled, table, places.n_rows, given)
    keyed = [_by(how, labelled, table, _key_named(mine), _key_named(theirs)) for mine, theirs, how in pairs]
    best = max(keyed, key=n_matched, default=None)
    if given and (best is None or not any(best.matches)):
        raise InputError(f"--id-column {given}: no row of the verdicts has the '{given}' of a labelled row")
    if best and given:
        return best
    worded = _by_words(labelled, table)
    if best and best.how in [how for mine, _, how in pairs if _is_shifted(mine, labelled, table, places.n_rows)]:
        if worded and any(worded.matches):
            return worded
        raise InputError(
            f"the key {best.how} counts from 0 in one file and from 1 in the other, so what belongs together cannot be "
            "told: number both alike, or name it with --id-column if equal numbers are one row"
        )
    if best and n_matched(best) * 2 > min(len(labelled), len(table)):
        told = _told_by_prompts(best, labelled, table)
        return worded if told is None and worded and n_matched(worded) * 2 > n_matched(best) else told or best
    found = [one for one in (worded, best) if one is not None and any(one.matches)]
    for one in (best, worded):
        if not found and one and (one.ambiguous or one.differing):
            raise InputError(_why_none(one))
    return max(found, key=n_matched) if found else by_place(labelled, table, places)


def _why_none(none: Joined) -> str:
    names = ", ".join(list(dict.fromkeys([*none.ambiguous, *none.differing]))[:SHOWN])
    is_key = none.how.startswith("'")
    if none.ambiguous:
        return (
            f"{f'the key {none.how} has' if is_key else f'{none.how} have'} several labelled rows that differ for each "
            f"verdict ({names}), so which is meant cannot be told: give both files a key of the row (--id-column), or "
            "add what tells them apart: a turn, models or texts"
        )
    what = f"the key {none.how} names" if is_key else f"{none.how} name"
    return f"{what} labelled rows with other answers or models than the verdicts ({names})"


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
    return whole if n_matched(whole) * 2 > n_matched(texts) else texts


def _answers_of(row: Traits) -> str:
    return "\0".join(sorted(row.texts))


def _request_of(row: Traits) -> str:
    return f"{row.prompt}\0{_answers_of(row)}" if row.prompt and row.texts else ""


def _key_named(name: str) -> Callable[[Traits], str]:
    return lambda row: row.keys.get(name, "")


def _key_pairs(
    labelled: Sequence[Traits], table: Sequence[Traits], n_rows: int, given: str | None
) -> list[tuple[str, str, str]]:
    """Return the key columns to try: of the labelled rows, of the table, and in words; those of one name first.

    Of two names they are one key only if they do not count rows from different numbers.
    """
    own, theirs = columns_of(labelled), columns_of(table)
    if given is not None:
        theirs = [given] if given in theirs else theirs
        own = [given] if given in own else own
    same = [(name, name, f"'{name}'") for name in theirs if name in own]
    values = {name: _values(labelled, name) for name in own}
    if any(row.keys.get(name) in values[name] for name, _, _ in same for row in table):
        return same
    return [
        (mine, name, f"'{name}', which is '{mine}' in the labelled file")
        for name in theirs
        for mine in own
        if given is not None or not count_apart((mine, name), (values[mine], _values(table, name)), n_rows)
    ]


def _is_shifted(name: str, labelled: Sequence[Traits], table: Sequence[Traits], n_rows: int) -> bool:
    """Return whether both files have the key `name` and each has a row that the other lacks at one end of the count."""
    one, other = _values(labelled, name), _values(table, name)
    return not (one <= other or other <= one) and count_apart((name, name), (one, other), n_rows)


def _values(rows: Sequence[Traits], name: str) -> set[str]:
    return {row.keys[name] for row in rows if name in row.keys}


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
    own_turns, turns = turns_of(labelled, table)
    keyed = how.startswith("'")
    for number, entry in enumerate(table):
        key = their_key(entry)
        name = key if keyed and key else f"row {number + 1}"
        candidates = [(place, labelled[place]) for place in (index.get(key, ()) if key else ())]
        here = {own_turns[place] for place, _ in candidates}
        turn = turns[number] or (FIRST_TURN if len(here) == 1 else None)  # without one it may be about any of several
        candidates = [(place, row) for place, row in candidates if turn is None or own_turns[place] == turn]
        if not candidates:
            found.strangers.append(name)
            continue
        _put(number, name, entry, candidates, found)
    return found


def _put(number: int, name: str, entry: Traits, candidates: Sequence[tuple[int, Traits]], found: Joined) -> None:
    """Put one row of the table to the labelled row, or the equal ones, that it is about."""
    sides = [(place, row, side) for place, row in candidates if (side := side_of(row, entry)) is not None]
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
    if len({row.turn or FIRST_TURN for row in rows}) > 1:
        return False
    if first.texts:
        return all(_same_texts(row, first) and row.prompt == first.prompt for row in rows)
    return all(_same_models(row, first) for row in rows)
