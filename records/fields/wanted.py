"""Reads whether and how much an answer or a pair is to be learnt: labels, turns out of the loss, weights."""

from collections.abc import Collection

from console.errors import InputError
from records.fields.labels import key_of
from records.fields.messages import ROLE_FIELDS, role_of
from records.fields.prompts import CONVERSATIONS
from records.fields.values import MOST_NUMBER, Record, is_empty, number_in, number_or_none

LABELS = ("label", "kto_tag")
"""TRL's and LLaMA-Factory's labels of a good answer."""
TURN_LABELS = ("weight", "train", "training", "loss")
"""Of the last turn: OpenAI's 0 or 1, Axolotl's and ms-swift's false or true."""
GOOD, BAD = ("true", "1"), ("false", "0")
MOST_WEIGHT = 1e30
"""Larger weights, or sums of them, are infinite in the float32 numbers of a loss."""
WEIGHT, CONFIDENCE, MARGIN = "weight", "confidence", "margin"
"""The numbers of a pair that a training may use."""
RANGES = {WEIGHT: (0, MOST_WEIGHT), CONFIDENCE: (0, 1), MARGIN: (0, MOST_NUMBER)}


def is_unwanted(record: Record) -> bool:
    """Return whether a record says that its answer is not to be learnt."""
    values = [record.get(name) for name in LABELS]
    turns = next((record[name] for name in CONVERSATIONS if isinstance(record.get(name), list)), None)
    if turns and isinstance(turns[-1], dict):
        values += [turns[-1].get(name) for name in TURN_LABELS]
    # A label of another kind, such as a class, is no reason to leave an answer out.
    return any(value is not None and key_of(value) in BAD for value in values)


def unlearnt_turns(record: Record) -> list[int]:
    """Return which of the assistant's turns are labelled as not to be learnt, counted from the end: 1 is the last."""
    turns: list[object] = next((record[name] for name in CONVERSATIONS if isinstance(record.get(name), list)), [])
    own = [turn for turn in turns if isinstance(turn, dict) and any(turn.get(name) for name in ROLE_FIELDS)]
    own = [turn for turn in own if role_of(turn) == "assistant"]
    labels = ([turn.get(name) for name in TURN_LABELS] for turn in reversed(own))
    return [place for place, values in enumerate(labels, 1) if any(v is not None and key_of(v) in BAD for v in values)]


def weight_of(record: Record) -> float:
    """Return the weight of a row in the loss, 1 if it has none. Raises InputError if it is out of range or no number.

    A weight of 0 is an error too: a conversation that does not count is left out of a file.
    """
    weight = number_or_none(record, WEIGHT, most=MOST_WEIGHT)
    if weight is not None and weight <= 0:
        raise InputError(f"'{WEIGHT}' must be above 0, found {weight:g}")
    return 1.0 if weight is None else weight


def numbers_of(record: Record, used: Collection[str]) -> dict[str, float]:
    """Return the numbers of a pair that it has, by name.

    Raises InputError if one of those that are `used` is out of range. Of the others only good ones are taken.
    """
    numbers = {name: number_in(record.get(name)) for name in (CONFIDENCE, MARGIN, "chosen_score", "rejected_score")}
    numbers |= {name: number_or_none(record, name, *RANGES[name]) for name in used}
    return {name: number for name, number in numbers.items() if number is not None}


def is_good(record: Record) -> bool:
    """Return whether an answer is labelled a good one. Raises InputError if no label says whether it is."""
    labels = {name: record[name] for name in LABELS if not is_empty(record.get(name))}
    if not labels:
        raise InputError("no label: is the answer a good one? Expected 'label' true or false, or a pair of answers")
    for name, value in labels.items():
        if key_of(value) not in (*GOOD, *BAD):
            raise InputError(f"'{name}' is {str(value)[:40]!r}, and must be true or false")
    keys = {key_of(value) in GOOD for value in labels.values()}
    if len(keys) > 1:
        raise InputError(f"the labels contradict each other: {', '.join(f'{k} {v}' for k, v in labels.items())}")
    return keys.pop()
