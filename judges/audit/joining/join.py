"""Matches the rows of a table with labelled rows, by their order only as a last resort."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from console.errors import InputError
from judges.audit.joining.matches import Joined, Match, n_matched, side_of
from judges.audit.joining.places import SHOWN, Places, by_place, count_apart
from judges.labelled.traits import FIRST_TURN, Traits, columns_of, turns_of


def join(labelled: Sequence[Traits], table: Sequence[Traits], places: Places, given: str | None) -> Joined:
    """Return the rows of `table` by labelled row.

    Rows are matched by `given`, the column of --id-column, else by the key column that matches most rows, else by the
    answers, else by the prompt. Rows that share a key are told apart by turn, models and texts. Without any of these
    the rows go by `places`, if the two files have one length. Raises InputError if nothing tells which rows belong
    together.
    """
    pairs = _key_pairs(labelled, table, places.n_rows, given)
    keyed = [_by(pair.words, labelled, table, _key_named(pair.labelled), _key_named(pair.table)) for pair in pairs]
    best = max(keyed, key=n_matched, default=None)  # of equally good ones the first: equal names come first
    if given and (best is None or not any(best.matches)):
        raise InputError(f"--id-column {given}: no row of the verdicts has the '{given}' of a labelled row")
    if best and given:
        return best
    worded = _by_words(labelled, table)
    shifted = [pair.words for pair in pairs if _is_shifted(pair.labelled, labelled, table, places.n_rows)]
    if best and best.how in shifted:
        if worded and any(worded.matches):
            return worded
        raise InputError(
            f"the key {best.how} counts from 0 in one file and from 1 in the other, so what belongs together cannot be "
            "told: number both alike, or name it with --id-column if equal numbers are one row"
        )
    if best and n_matched(best) * 2 > min(len(labelled), len(table)):
        told = _told_by_prompts(best, labelled, table)
        return worded if told is None and worded and n_matched(worded) * 2 > n_matched(best) else told or best
    candidates = [joined for joined in (worded, best) if joined is not None and any(joined.matches)]
    for joined in (best, worded):
        if not candidates and joined and (joined.ambiguous or joined.differing):
            raise InputError(_why_none(joined))
    return max(candidates, key=n_matched) if candidates else by_place(labelled, table, places)


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
    """Return the matches by key without those of different prompts, or None if most prompts differ.

    In that case either the keys number the rows of each file separately, or the two files write their prompts
    differently.
    """
    same: list[bool] = []
    matched = Joined(keyed.how, [], list(keyed.strangers), list(keyed.ambiguous), list(keyed.differing))
    for traits, matches in zip(labelled, keyed.matches, strict=True):
        known = [match for match in matches if traits.prompt and table[match.entry].prompt and not match.sided]
        other = [match for match in known if traits.prompt != table[match.entry].prompt]
        same += [match not in other for match in known]
        matched.matches.append([match for match in matches if match not in other])
        matched.differing += [f"row {match.entry + 1}" for match in other]
    return matched if sum(same) * 2 >= len(same) else None


def _by_words(labelled: Sequence[Traits], table: Sequence[Traits]) -> Joined | None:
    """Return the matches by the answers, and by the prompt if both files write it alike, else by the prompt alone."""

    def both_have(has: Callable[[Traits], object]) -> bool:
        return all(
            sum(bool(has(traits)) for traits in file_rows) * 2 > len(file_rows) for file_rows in (labelled, table)
        )

    texts = prompts = None
    if both_have(lambda traits: traits.texts):
        texts = _by("the answers' texts", labelled, table, _answers_of, _answers_of)
    if both_have(lambda traits: traits.prompt):
        prompts = _by("the prompts", labelled, table, lambda traits: traits.prompt, lambda traits: traits.prompt)
    if texts is None or prompts is None:
        return texts or prompts
    whole = _by("the prompts and the answers", labelled, table, _request_of, _request_of)
    return whole if n_matched(whole) * 2 > n_matched(texts) else texts


def _answers_of(traits: Traits) -> str:
    return "\0".join(sorted(traits.texts))  # sorted, because a table may have the sides exchanged


def _request_of(traits: Traits) -> str:
    return f"{traits.prompt}\0{_answers_of(traits)}" if traits.prompt and traits.texts else ""


def _key_named(name: str) -> Callable[[Traits], str]:
    return lambda traits: traits.keys.get(name, "")


@dataclass(frozen=True)
class _KeyPair:
    """A key column of each file that may identify the same rows."""

    labelled: str
    table: str
    words: str


def _key_pairs(labelled: Sequence[Traits], table: Sequence[Traits], n_rows: int, given: str | None) -> list[_KeyPair]:
    """Return the key columns to try. Equal names come first.

    Of two names they are one key only if they do not count rows from different numbers.
    """
    label_keys, table_keys = columns_of(labelled), columns_of(table)
    if given is not None:
        table_keys = [given] if given in table_keys else table_keys
        label_keys = [given] if given in label_keys else label_keys
    same = [_KeyPair(name, name, f"'{name}'") for name in table_keys if name in label_keys]
    values = {name: _values(labelled, name) for name in label_keys}
    if any(traits.keys.get(pair.table) in values[pair.labelled] for pair in same for traits in table):
        return same
    return [
        _KeyPair(label_key, name, f"'{name}', which is '{label_key}' in the labelled file")
        for name in table_keys
        for label_key in label_keys
        if given is not None or not count_apart((label_key, name), (values[label_key], _values(table, name)), n_rows)
    ]


def _is_shifted(name: str, labelled: Sequence[Traits], table: Sequence[Traits], n_rows: int) -> bool:
    """Return whether both files have the key `name`, but count from different numbers."""
    own_keys, table_keys = _values(labelled, name), _values(table, name)
    return not (own_keys <= table_keys or table_keys <= own_keys) and count_apart(
        (name, name), (own_keys, table_keys), n_rows
    )


def _values(file_rows: Sequence[Traits], name: str) -> set[str]:
    return {traits.keys[name] for traits in file_rows if name in traits.keys}


def _by(
    how: str,
    labelled: Sequence[Traits],
    table: Sequence[Traits],
    own_key: Callable[[Traits], str],
    their_key: Callable[[Traits], str],
) -> Joined:
    index: Mapping[str, list[int]] = defaultdict(list)
    for place, traits in enumerate(labelled):
        if key := own_key(traits):
            index[key].append(place)
    joined = Joined(how, [[] for _ in labelled])
    own_turns, turns = turns_of(labelled, table)
    keyed = how.startswith("'")
    for number, entry in enumerate(table):
        key = their_key(entry)
        name = key if keyed and key else f"row {number + 1}"
        candidates = [(place, labelled[place]) for place in (index.get(key, ()) if key else ())]
        here = {own_turns[place] for place, _ in candidates}
        turn = turns[number] or (FIRST_TURN if len(here) == 1 else None)  # without one it may be about any of several
        candidates = [(place, traits) for place, traits in candidates if turn is None or own_turns[place] == turn]
        if not candidates:
            joined.strangers.append(name)
            continue
        _put(number, name, entry, candidates, joined)
    return joined


def _put(number: int, name: str, entry: Traits, candidates: Sequence[tuple[int, Traits]], joined: Joined) -> None:
    """Add one row of the table to the labelled row, or the equal ones, that it belongs to."""
    sides = [(place, traits, side) for place, traits in candidates if (side := side_of(traits, entry)) is not None]
    if not sides:
        joined.differing.append(name)
        return
    # A trait that no candidate shares rules none out.
    for agrees in (_same_models, _same_prompt, _same_texts):
        sides = [candidate for candidate in sides if agrees(candidate[1], entry)] or sides
    if len(sides) > 1 and not _is_one([traits for _, traits, _ in sides]):
        joined.ambiguous.append(name)
        return
    for place, _, (exchanged, sided) in sides:
        joined.matches[place].append(Match(number, exchanged, sided))


def _same_models(row: Traits, other: Traits) -> bool:
    return bool(row.models) and sorted(row.models) == sorted(other.models)


def _same_texts(row: Traits, other: Traits) -> bool:
    return bool(row.texts) and sorted(row.texts) == sorted(other.texts)


def _same_prompt(row: Traits, other: Traits) -> bool:
    return bool(row.prompt) and row.prompt == other.prompt


def _is_one(rows: Sequence[Traits]) -> bool:
    """Return whether all rows have the same answers, so that a verdict on one holds for all."""
    first = rows[0]
    if len({traits.turn or FIRST_TURN for traits in rows}) > 1:
        return False
    if first.texts:
        return all(_same_texts(traits, first) and traits.prompt == first.prompt for traits in rows)
    return all(_same_models(traits, first) for traits in rows)
