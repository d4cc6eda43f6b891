"""The kinds of constraints, and the right settings of each."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from records.rows import Constraint

HERE = Path(__file__).parent
RELATIONS = ("less than", "at least")
SHOWN_TEXT = 60
"""Characters of a setting that a sentence shows."""


@dataclass(frozen=True)
class Kind:
    """What a constraint of one kind asks, and its settings."""

    asks: str
    """A part of a sentence about the answer, with the settings in braces."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """The type of each setting by its name. All must be given."""


class SettingsError(ValueError):
    """A constraint cannot be checked on any answer. The message says why."""


@cache
def all_kinds() -> dict[str, Kind]:
    """Return every kind that has a checker, by its name."""
    table = tomllib.loads((HERE / "kinds.toml").read_text(encoding="utf-8"))
    return {name: Kind(**entry) for name, entry in table.items()}


def known_kinds() -> list[str]:
    """Return the names of all kinds that have a checker."""
    return list(all_kinds())


def describe(constraint: Constraint) -> str:
    """Return what a constraint asks, in one plain sentence without its full stop."""
    kind = all_kinds().get(constraint.kind)
    try:
        if kind is not None:
            settings = settings_of(constraint)
            plain = {name for name, type_ in kind.settings.items() if type_ == "relation"}
            return kind.asks.format_map({n: v if n in plain else _shown(v) for n, v in settings.items()})
    except SettingsError:
        pass
    given = ", ".join(f"{name} = {_shown(value)}" for name, value in constraint.kwargs.items() if value is not None)
    return f"{constraint.kind} ({given})" if given else constraint.kind


def settings_of(constraint: Constraint) -> dict[str, Any]:
    """Return the checked settings of a constraint. Raises SettingsError if a checker cannot work with them.

    A setting that is None counts as not given, because Parquet files give each row the settings of all kinds.
    """
    kind = all_kinds().get(constraint.kind)
    if kind is None:
        close = get_close_matches(constraint.kind, all_kinds(), n=1)
        hint = f"the nearest name is {close[0]}" if close else "no name is like it"
        raise SettingsError(f"no checker for this kind; {hint}")
    given = {name: value for name, value in constraint.kwargs.items() if value is not None}
    if missing := [name for name in kind.settings if name not in given]:
        raise SettingsError(f"the setting {' and '.join(missing)} is missing")
    if unknown := [name for name in given if name not in kind.settings]:
        raise SettingsError(f"there is no setting {' and '.join(unknown)}")
    return {name: _checked(name, given[name], type_) for name, type_ in kind.settings.items()}


def _checked(name: str, value: Any, type_: str) -> Any:
    if type_ in ("count", "position"):
        return _number(name, value, smallest=1 if type_ == "position" else 0)
    if type_ == "texts":
        if not isinstance(value, list) or not value or not all(isinstance(v, str) and v.strip() for v in value):
            raise SettingsError(f"{name} must be a list of texts, not {_shown(value)}")
        return value
    if not isinstance(value, str) or not value.strip():
        raise SettingsError(f"{name} must be a text, not {_shown(value)}")
    if type_ == "relation" and value not in RELATIONS:
        raise SettingsError(f"{name} must be {' or '.join(map(repr, RELATIONS))}, not {_shown(value)}")
    if type_ == "letter" and len(value) != 1:
        raise SettingsError(f"{name} must be a single letter, not {_shown(value)}")
    return value


def _number(name: str, value: Any, smallest: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or value < smallest:
        raise SettingsError(f"{name} must be a whole number of at least {smallest}, not {_shown(value)}")
    return int(value)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_shown, value)) if value else "an empty list"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= SHOWN_TEXT else f"{text[: SHOWN_TEXT - 1]}…"
