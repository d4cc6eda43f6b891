"""Reads whether a single answer is to be learnt: KTO's labels, and turns that are left out of the loss."""

from console.errors import InputError
from records.fields.labels import key_of
from records.fields.messages import ROLE_FIELDS, role_of
from records.fields.prompts import CONVERSATIONS
from records.fields.values import Record, is_empty, number_or_none

LABELS = ("label", "kto_tag")
"""TRL's and LLaMA-Factory's labels of a good answer."""
TURN_LABELS = ("weight", "train", "training", "loss")
"""Of the last turn: OpenAI's 0 or 1, Axolotl's and ms-swift's false or true."""
GOOD, BAD = ("true", "1"), ("false", "0")


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


def weight_of(record: Record, *, or_0: bool = False) -> float:
    """Return the weight of a row in the loss, 1 if it has none. Raises InputError if it is negative or no number.

    A weight of 0 is an error too unless `or_0`: a conversation that does not count is left out of a file.
    """
    weight = number_or_none(record, "weight")
    if weight is None:
        return 1.0
    if weight < 0 or (weight == 0 and not or_0):
        raise InputError(f"'weight' must be {'0 or more' if or_0 else 'above 0'}, found {weight:g}")
    return weight


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
