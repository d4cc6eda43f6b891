"""Reads what a record says of an answer's form, which a program can check: IFEval's fields, Tülu's and our own."""

import ast
import json
import warnings
from typing import Any

import msgspec

from console.errors import InputError
from records.fields.values import Record, is_empty, shown
from records.rows import Constraint

OWN, IDS, SETTINGS = "constraints", "instruction_id_list", "kwargs"
"""This project's field, and IFEval's two, which IFBench shares."""
GROUND_TRUTH, TRUTH_IDS, FUNCTION = "ground_truth", "instruction_id", "func_name"
"""Tülu's field, which holds IFEval's two under another name, or the name of a function with its arguments."""
KEY = "key"
"""IFEval's number of a prompt."""
EXAMPLE = '[{"kind": "punctuation:no_comma", "kwargs": {}}]'
ERROR = "constraints_error"
"""The field of a stored row with the reason why its constraints cannot be read."""


def constraints_in(record: Record) -> list[Constraint] | None:
    """Return the constraints of a record, [] if it says that it has none, or None if it says nothing of them.

    A record may have them in our own field and in another set's, which are then joined. Settings that are null count as
    not given, because a table has a column for each. Raises InputError if either has another shape.
    """
    return _joined(own_constraints(record.get(OWN)), _others(record))


def constraints_or_error(record: Record) -> tuple[list[Constraint] | None, str | None]:
    """Return the constraints of a record and None, or None and why our own field cannot be read.

    Other sets have something else in a field of that name, which harms nobody who does not check it. Raises InputError
    if IFEval's or Tülu's fields cannot be read.
    """
    others = _others(record)
    try:
        constraints = _joined(own_constraints(record.get(OWN)), others)
    except InputError as error:
        return None, str(error)
    stored = record.get(ERROR)
    return constraints, stored if constraints is None and isinstance(stored, str) and stored else None


def own_constraints(value: object, name: str = OWN) -> list[Constraint] | None:
    """Return the constraints in our own field, which messages call `name`, or None if it is empty.

    Raises InputError if it is no list of objects with a `kind`, or if they have unknown fields.
    """
    listed = _decoded(value)
    if listed is None:
        return None
    if not isinstance(listed, list) or not all(isinstance(item, dict) and "kind" in item for item in listed):
        raise InputError(f"'{name}' must be a list such as {EXAMPLE}, found {shown(value)}")
    for item in listed:
        if not isinstance(item["kind"], str) or not item["kind"].strip():
            raise InputError(f"'{name}': 'kind' must be the name of a constraint, found {shown(item['kind'])}")
        for field, setting in item.items():
            if field not in ("kind", SETTINGS) and setting is not None:  # null: a table has a column for each
                raise InputError(f"'{name}': unknown field '{field}' beside 'kind': put it in '{SETTINGS}'")
    return [_constraint(item["kind"], item.get(SETTINGS), name) for item in listed]


def has_convention(record: Record) -> bool:
    """Return whether a record has IFEval's fields, in which `key` is the number of the prompt."""
    return not is_empty(record.get(IDS))


def _joined(own: list[Constraint] | None, others: list[Constraint] | None) -> list[Constraint] | None:
    if own is None or others is None:
        return others if own is None else own
    return [*own, *(constraint for constraint in others if constraint not in own)]


def _others(record: Record) -> list[Constraint] | None:
    """Return the constraints in IFEval's fields or in Tülu's."""
    ids, settings, name = _ids_and_settings(record)
    if ids is None:
        return None
    if not isinstance(ids, list) or not all(isinstance(kind, str) and kind.strip() for kind in ids):
        raise InputError(f"'{name}' must be a list of the names of constraints, found {shown(ids)}")
    listed = [None] * len(ids) if settings is None else settings
    if isinstance(listed, dict) and len(ids) == 1:
        listed = [listed]
    if not isinstance(listed, list):
        raise InputError(f"'{SETTINGS}' must be a list, one object for each constraint, found {shown(settings)}")
    if len(listed) != len(ids):
        raise InputError(f"one of each is needed: '{name}' has {len(ids)}, '{SETTINGS}' has {len(listed)}")
    return [_constraint(kind, value, SETTINGS) for kind, value in zip(ids, listed, strict=True)]


def _ids_and_settings(record: Record) -> tuple[Any, Any, str]:
    if not is_empty(record.get(IDS)):
        return _decoded(record[IDS]), _decoded(record.get(SETTINGS)), IDS
    truth = _decoded(record.get(GROUND_TRUTH))
    if isinstance(truth, list) and len(truth) == 1:
        truth = truth[0]  # Tülu keeps one object in a list
    if isinstance(truth, dict) and TRUTH_IDS in truth:
        ids = truth[TRUTH_IDS]
        return [ids] if isinstance(ids, str) else ids, truth.get(SETTINGS), GROUND_TRUTH
    if isinstance(truth, dict) and isinstance(truth.get(FUNCTION), str):
        return [truth[FUNCTION]], [{name: value for name, value in truth.items() if name != FUNCTION}], GROUND_TRUTH
    return None, None, ""


def _constraint(kind: str, settings: object, name: str) -> Constraint:
    values = _decoded(settings)
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise InputError(f"'{name}': the settings of '{kind}' must be an object, found {shown(settings)}")
    kwargs = {str(name): _whole(value) for name, value in values.items() if value is not None}
    try:
        msgspec.json.encode(kwargs)
    except (UnicodeEncodeError, RecursionError, TypeError, ValueError):
        raise InputError(f"'{name}': the settings of '{kind}' hold what is no text") from None
    return Constraint(kind=kind.strip(), kwargs=kwargs)


def _whole(value: Any) -> Any:
    """Return a number without its point: in a table with gaps, 300 is kept as 300.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _decoded(value: object) -> Any:
    """Return a table's cell as the list or object that it spells, in JSON or as Python prints it, or else as it is."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if not text.startswith(("[", "{")):
        return value if text else None
    for read in (json.loads, _printed):
        try:
            return read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return value


def _printed(text: str) -> Any:
    with warnings.catch_warnings(action="ignore"):  # of a backslash in a text
        return ast.literal_eval(text)
