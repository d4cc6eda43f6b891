"""Which of two sides is better, by whatever a record says it with: its names, a label, a strength, votes."""

from collections.abc import Mapping

from console.errors import InputError
from records.fields.labels import Codes, by_model_name, by_name, key_of, majority, side_of, winner_in
from records.fields.preferences import OWN_CODES, Names, models_of, says_better
from records.fields.values import Record, is_empty, number_in
from records.rows import Winner

LABELS = ("label", "preference", "winner", "labels")
STRENGTHS = ("preference_strength", "overall_preference")
"""HelpSteer2's and HelpSteer3's: from -3, the first is much better, to 3, the second is. 0 is a tie."""
ANNOTATORS = ("annotator1", "annotator2", "annotator3")
"""PandaLM's: 0 is a tie, 1 or 2 the better answer. The label is the majority's."""
ONE_HOT: Mapping[str, Winner] = {"winner_model_a": "a", "winner_model_b": "b", "winner_tie": "tie"}
"""The Chatbot Arena's table: one of them is 1."""
BETTER_ID = "better_response_id"
"""PKU-SafeRLHF's, 0 or 1: the more helpful answer, which need not be the safer one."""


def better_in(record: Record, names: Names, codes: Codes | None) -> Winner:
    """Return the better side of a record, `a` for the first. Raises InputError if it does not say so.

    If a record has several labels, they must agree.
    """
    if says_better(names):
        for name, value in label_in(record).items():
            # Names such as `chosen` decide already. A label beside them may only repeat it.
            if by_name(value, names) == "b" or key_of(value) == "rejected":
                raise InputError(f"'{name}' is {value!r}, and the better answer stands in '{names[0]}': keep one")
        return "a"
    labels = _said(record, names, codes)
    if not labels:
        raise InputError(f"no label: which of {names[0]} and {names[1]} is better? Expected one of {', '.join(LABELS)}")
    if len(set(labels.values())) > 1:
        raise InputError(f"the labels contradict each other: {', '.join(f'{k} {v}' for k, v in labels.items())}")
    return next(iter(labels.values()))


def label_in(record: Record) -> dict[str, object]:
    """Return the labels of a record by the names of their fields. Empty cells count only if there is no other label."""
    labels = {name: record[name] for name in LABELS if record.get(name) is not None}
    return {name: value for name, value in labels.items() if not is_empty(value)} or labels


def says_which(record: Record, names: Names) -> bool:
    """Return whether a record has any known label of the better side."""
    fields = (*STRENGTHS, *ONE_HOT, BETTER_ID, *ANNOTATORS)
    return says_better(names) or bool(label_in(record)) or any(not is_empty(record.get(name)) for name in fields)


def _said(record: Record, names: Names, codes: Codes | None) -> dict[str, Winner]:
    labels: dict[str, Winner] = {}
    meanings = OWN_CODES.get(names) if codes is None else codes
    for name, value in label_in(record).items():
        side = None if codes is not None else by_name(value, names) or _by_model(record, names, value, name)
        labels[name] = side or side_of(value, meanings, name)
    for name in STRENGTHS:
        if not is_empty(record.get(name)):
            labels[name] = _by_strength(record[name], name) if codes is None else side_of(record[name], codes, name)
    if any(not is_empty(record.get(name)) for name in ANNOTATORS):
        labels["annotators"] = majority([side_of(record.get(name), codes, name) for name in ANNOTATORS])
    if any(not is_empty(record.get(name)) for name in ONE_HOT):
        labels["winner_model_a"] = _one_hot(record)
    if not is_empty(record.get(BETTER_ID)):
        # Fixed by the set whatever --codes say, as the two above are.
        labels[BETTER_ID] = side_of(record[BETTER_ID], {"0": "a", "1": "b"}, BETTER_ID)
    return labels


def _by_model(record: Record, names: Names, label: object, field: str) -> Winner | None:
    """Return the side whose model a label names. Raises InputError if it is also a word for the other side."""
    first, second = (next((record[name] for name in models_of(answer) if record.get(name)), None) for answer in names)
    side = by_model_name(label, (first, second))
    if side is not None and winner_in(label) not in (None, side):
        raise InputError(f"'{field}' is {label!r}, which names the model of one answer and the place of the other")
    return side


def _by_strength(value: object, name: str) -> Winner:
    number = None if isinstance(value, bool) else number_in(value)
    if number is None or not -3 <= number <= 3:
        raise InputError(f"'{name}' is {value!r}, which is no label: expected a number from -3 to 3")
    return "a" if number < 0 else "b" if number > 0 else "tie"


def _one_hot(record: Record) -> Winner:
    numbers = {name: number_in(record.get(name)) for name in ONE_HOT}
    ones = [name for name, number in numbers.items() if number == 1 or record.get(name) in (True, "True", "true")]
    if len(ones) != 1:
        raise InputError(f"no label: one of {', '.join(ONE_HOT)} must be 1, found {len(ones)}")
    return ONE_HOT[ones[0]]
