"""Reads a TOML file into a command's config dataclass; an unknown key names its nearest neighbour."""

import dataclasses
import difflib
import tomllib
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from console.errors import InputError

ConfigT = TypeVar("ConfigT")


def load_config(path: Path, default: ConfigT) -> ConfigT:
    """Return `default` with the values that the TOML file at `path` sets.

    Raises InputError for a missing file, bad TOML, an unknown key or a value of the wrong type.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such config file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid TOML: {error}") from None
    return _filled(default, table, str(path), "")


def _filled(default: ConfigT, table: dict[str, Any], path: str, section: str) -> ConfigT:
    hints = typing.get_type_hints(type(default))
    fields = {field.name for field in dataclasses.fields(default)}  # type: ignore[arg-type]
    changes: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{section}{key}"
        if key not in fields:
            raise InputError(f"{path}: unknown key '{name}'{_nearest(key, fields)}")
        current = getattr(default, key)
        if current is None and isinstance(value, dict):
            current = _absent_section(hints[key])
        if dataclasses.is_dataclass(current):
            if not isinstance(value, dict):
                raise InputError(f"{path}: '{name}' is a section: write [{name}]")
            changes[key] = _filled(current, value, path, f"{name}.")
        else:
            changes[key] = _converted(value, hints[key], path, name)
    return dataclasses.replace(default, **changes)  # type: ignore[type-var]


def _absent_section(kind: Any) -> object:
    """Return the default of a section of the type `Section | None`; None for other kinds."""
    sections = [one for one in typing.get_args(kind) if dataclasses.is_dataclass(one)]
    return sections[0]() if sections and isinstance(sections[0], type) else None


def _converted(value: object, kind: Any, path: str, name: str) -> object:
    """Return `value` as `kind`; a path in a config file is text there."""
    if kind is Path or (isinstance(kind, types.UnionType) and Path in typing.get_args(kind)):
        if not isinstance(value, str):
            raise InputError(f"{path}: '{name}' must be a path, written as text")
        return Path(value)
    import msgspec

    try:
        return msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: '{name}' = {value!r}: {error}") from None


def _nearest(key: str, known: set[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'?" if near else f"; known keys: {', '.join(sorted(known))}"
