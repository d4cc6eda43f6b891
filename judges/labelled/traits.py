"""Traits that identify a row of a labelled set or of a table of verdicts: keys, models, texts."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from console.errors import InputError
from judges.labelled.cells import models_in
from judges.labelled.labels import LabelledPair, LabelledScore
from records.fields.preferences import SIDES, names_in, sides_in
from records.fields.prompts import prompt_in
from records.fields.values import is_empty
from records.files import Record
from records.rows import Message, text_of
from records.shapes import UNKNOWN_MODEL

TURN_KEY = "turn"
KEYS = (
    "pair_id", "id", "idx", "uid", "question_id", "prompt_id", "message_id", "example_id", "instruction_id", "item_id",
    "sample_id", "row_id", "data_id", "task_id", "qid", "uuid", "key", "index", "response_id", "answer_id",
    "Unnamed: 0", "__index_level_0__",
)  # fmt: skip
"""The usual names of row keys: first those for rows, then those for answers, and last those of pandas."""
MODEL = ("model", "model_id", "response_source", "generator", "response_model")
ANSWER = ("response", "output", "answer", "completion")
TEXTS = (*SIDES, ("text_chosen", "text_rejected"))
WHOLE = re.compile(r"[+-]?\d+(\.0+)?")
FIRST_TURN = "1"
"""The turn that FastChat omits if there is only one."""


@dataclass(frozen=True)
class Traits:
    """The known traits of one row. An empty field is unknown."""

    keys: dict[str, str] = field(default_factory=dict)
    turn: str = ""
    models: tuple[str, ...] = ()
    """Of both answers in their order, or of the single one."""
    texts: tuple[str, ...] = ()
    prompt: str = ""
    lone: bool = False
    """Whether only one of two compared answers has a text."""


def keys_in(record: Record, given: str | None = None) -> dict[str, str]:
    """Return the keys of a record by the names of their columns, `given` first."""
    names = (*KEYS, TURN_KEY) if given is None else (given, *KEYS, TURN_KEY)
    return {name: key_text(record[name]) for name in names if not is_empty(record.get(name)) and _is_key(record[name])}


def of_pair(pair: LabelledPair) -> Traits:
    """Return the traits of a labelled pair."""
    return Traits(
        pair.keys, _turn(pair), _known(pair.model_a, pair.model_b), _plain(pair.response_a, pair.response_b),
        _words(pair.prompt),
    )  # fmt: skip


def of_score(item: LabelledScore) -> Traits:
    """Return the traits of a labelled answer."""
    prompt = _words(item.prompt)
    return Traits(item.keys, _turn(item), _known(item.model), _plain(item.response), prompt)


def of_sides(pair: LabelledPair) -> tuple[Traits, Traits]:
    """Return the traits of the two answers of a labelled pair, each by itself."""
    whole = of_pair(pair)
    models = (pair.model_a, pair.model_b)
    first, second = (
        Traits(whole.keys, whole.turn, _known(model), _plain(text), whole.prompt)
        for model, text in zip(models, (pair.response_a, pair.response_b), strict=True)
    )
    return first, second


def of_record(record: Record, given: str | None, *, single: bool) -> Traits:
    """Return the traits of a row of verdicts, about one answer if it is `single`, else about two."""
    models: tuple[str, ...] = ()
    if single:
        models = next(((str(record[name]),) for name in MODEL if isinstance(record.get(name), str)), ())
        answers = next(((record[name],) for name in ANSWER if isinstance(record.get(name), str)), ())
        prompt, texts, lone = _prompt(record), _plain(*answers), False
    else:
        models = models_in(record) or ()
        prompt, texts = _sides(record)
        lone = not texts and any(isinstance(record.get(name), str) for names in TEXTS for name in names)
    keys = keys_in(record, given)
    return Traits(keys, keys.get(TURN_KEY, ""), models, texts, prompt, lone)


def turns_of(labelled: Sequence[Traits], table: Sequence[Traits]) -> tuple[list[str], list[str | None]]:
    """Return the turn of every row of both, counted from 1, or None for a table without turns."""
    in_labels, in_table = ({traits.turn for traits in rows} - {""} for rows in (labelled, table))
    of_labels = [_from_one(traits.turn, in_labels) or FIRST_TURN for traits in labelled]
    return of_labels, [_from_one(traits.turn, in_table) or (FIRST_TURN if in_table else None) for traits in table]


def _from_one(turn: str, all_turns: set[str]) -> str:
    return str(int(turn) + 1) if "0" in all_turns and turn.isdecimal() else turn


def _turn(row: LabelledPair | LabelledScore) -> str:
    return row.meta.get(TURN_KEY) or row.keys.get(TURN_KEY, "")


def _sides(record: Record) -> tuple[str, tuple[str, ...]]:
    """Return the prompt and the two answers of a record, each empty if it is missing or unreadable."""
    try:
        sides = sides_in(record)
    except InputError:
        sides = None
    if sides is not None and len(sides.first) == len(sides.second) == 1:
        return _words(sides.prompt), _plain(sides.first[0], sides.second[0])
    try:
        names = names_in(record)
    except InputError:
        names = None
    for first, second in [names] if names else TEXTS:
        if isinstance(record.get(first), str) and isinstance(record.get(second), str):
            return _prompt(record), _plain(record[first], record[second])
    return _prompt(record), ()


def _prompt(record: Record) -> str:
    try:
        return _words(prompt_in(record))
    except InputError:
        return ""


def _words(prompt: str | list[Message]) -> str:
    return " ".join(text_of(prompt).split())


def _plain(*texts: str) -> tuple[str, ...]:
    """Return texts with normalised spacing, or nothing if all are empty."""
    words = tuple(" ".join(text.split()) for text in texts)
    return words if any(words) else ()


def _known(*models: str) -> tuple[str, ...]:
    return () if UNKNOWN_MODEL in models or not all(models) else models


def _is_key(value: object) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def key_text(value: object) -> str:
    """Return a key as text: 7, 7.0 and "7" are one, because tables write numbers in different forms."""
    text = str(value).strip()
    return str(int(text.partition(".")[0])) if WHOLE.fullmatch(text) and len(text) < 40 else text


def columns_of(rows: Sequence[Traits]) -> list[str]:
    """Return the names of the key columns that the rows have, in the order in which they are tried."""
    names = dict.fromkeys(name for traits in rows for name in traits.keys if name != TURN_KEY)
    return sorted(names, key=lambda name: KEYS.index(name) if name in KEYS else -1)  # the given column first
