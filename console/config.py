"""Reads a TOML file into a command's config dataclass. The error for an unknown key suggests the nearest one."""

import dataclasses
import difflib
import os
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from console.errors import InputError
from console.reading import read_toml

ConfigT = TypeVar("ConfigT")
UNIONS = (types.UnionType, typing.Union)
SHOWN_CHARS = 80


def load_config(path: Path, default: ConfigT) -> ConfigT:
    """Return `default` with the values that the TOML file at `path` sets.

    Raises InputError for a file that cannot be read, bad TOML, an unknown key or a value of the wrong type.
    """
    if not os.path.lexists(path):
        raise InputError(f"{path}: no such config file")
    return _filled(default, read_toml(path), str(path), "", places_of(default))


def places_of(config: object, section: str = "") -> dict[str, list[str]]:
    """Return the sections of each key, `""` for the top of the file. Sections that may be absent count too."""
    sections: dict[str, list[str]] = {}
    hints = typing.get_type_hints(type(config))
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        sections.setdefault(field.name, []).append(section)
        inner = getattr(config, field.name)
        inner = _absent_section(hints[field.name]) if inner is None else inner
        if dataclasses.is_dataclass(inner):
            for key, places in places_of(inner, f"{section}.{field.name}" if section else field.name).items():
                sections.setdefault(key, []).extend(places)
    return sections


def _filled(default: ConfigT, table: dict[str, Any], path: str, section: str, places: dict[str, list[str]]) -> ConfigT:
    hints = typing.get_type_hints(type(default))
    fields = {field.name for field in dataclasses.fields(default)}  # type: ignore[arg-type]
    changes: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{section}{key}"
        if key not in fields:
            raise InputError(f"{path}: unknown key '{name}'{_elsewhere(key, places) or _nearest(key, default, places)}")
        current = getattr(default, key)
        if current is None and isinstance(value, dict):
            current = _absent_section(hints[key])
        if dataclasses.is_dataclass(current):
            if not isinstance(value, dict):
                raise InputError(f"{path}: '{name}' is a section: write [{name}]")
            changes[key] = _filled(current, value, path, f"{name}.", places)
        else:
            changes[key] = _converted(value, hints[key], path, name)
    return dataclasses.replace(default, **changes)  # type: ignore[type-var]


def _absent_section(kind: Any) -> object:
    """Return the default of a section of the type `Section | None`, or None for other kinds."""
    sections = [option for option in typing.get_args(kind) if dataclasses.is_dataclass(option)]
    return sections[0]() if sections and isinstance(sections[0], type) else None


def _converted(value: object, kind: Any, path: str, name: str) -> object:
    """Return `value` as `kind`. Paths are written as text in a config file."""
    if kind is Path or (typing.get_origin(kind) in UNIONS and Path in typing.get_args(kind)):
        if not isinstance(value, str):
            raise InputError(f"{path}: '{name}' must be a path, written as text")
        return Path(value)
    try:
        return msgspec.convert(value, kind, strict=True, dec_hook=_path_of)
    except msgspec.ValidationError as error:
        shown = repr(value)
        shown = shown if len(shown) <= SHOWN_CHARS else f"{shown[:SHOWN_CHARS]}…"
        raise InputError(f"{path}: '{name}' = {shown}: {error}") from None


def _path_of(kind: type, value: object) -> object:
    """Return one of several paths, for msgspec, which has no such type."""
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise ValueError("must be a path, written as text")


def _elsewhere(key: str, places: dict[str, list[str]]) -> str | None:
    """Return in words the right section of a misplaced key, or None if there is no such key."""
    name = key.replace("-", "_")
    sections = [f"under [{place}]" if place else "above the first [section]" for place in places.get(name, [])]
    return f"; '{name}' is written {' or '.join(sections[:4])}" if sections else None


def _nearest(key: str, section: object, places: dict[str, list[str]]) -> str:
    """Return the key that was meant, or else all that there are, sections in brackets."""
    hints = typing.get_type_hints(type(section))
    known = [field.name for field in dataclasses.fields(section)]  # type: ignore[arg-type]
    # the same word but for a letter, in another section, is nearer than another word here
    for names, cutoff in ((known, 0.75), (list(places), 0.75), (known, 0.5)):
        if near := difflib.get_close_matches(key, names, n=1, cutoff=cutoff):
            where = "" if near[0] in known else (_elsewhere(near[0], places) or "").partition(" is written")[2]
            return f"; did you mean '{near[0]}'{where}?"
    shown = [f"[{name}]" if _is_section(getattr(section, name), hints[name]) else name for name in sorted(known)]
    return f"; known keys: {', '.join(shown)}"


def _is_section(value: object, kind: Any) -> bool:
    return dataclasses.is_dataclass(value) or (value is None and _absent_section(kind) is not None)
