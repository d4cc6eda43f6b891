"""The kinds of constraints, and the right settings of each."""

import json
import math
import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

import regex
from jsonschema.exceptions import SchemaError
from jsonschema.validators import validator_for

from console.output import counted
from judges.tools.constraints.grounding import language_names
from judges.tools.constraints.languages import languages
from records.rows import Constraint

HERE = Path(__file__).parent
REGEX_SIGNS = set("\\*+?{}()[]|^$")
"""Signs with a meaning in a regular expression. IFEval puts words into one as they are."""
COUNTED = re.compile(r"\{(\w+):([^}]+)\}")
SHOWN_TEXT = 60
"""Characters of a setting that a sentence shows."""


@dataclass(frozen=True)
class Kind:
    """What a constraint of one kind asks, and its settings."""

    asks: str
    """A part of a sentence about the answer, with the settings in braces. After a number's colon is what it counts."""
    settings: Mapping[str, str | list[str]] = field(default_factory=dict)
    """The type of each setting by its name, with a ? if it may be left out. A list has all values."""

    @property
    def table_entry(self) -> str:
        """What a constraint asks, with the names of its settings in braces."""
        return COUNTED.sub(r"{\1} \2", self.asks)

    def may_lack(self, name: str) -> bool:
        """Return whether a setting may be left out."""
        return self.settings[name][-1] == "?"


class _Number(int):
    """A whole number that a template shows with its noun: `{n:words}` is `1 word` or `2 words`."""

    def __format__(self, noun: str) -> str:
        return counted(int(self), noun) if noun else str(int(self))


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
    """Return what a constraint asks of an answer: a sentence about "it" without a full stop."""
    try:
        settings = settings_of(constraint)
    except SettingsError:
        given = ", ".join(f"{name} = {shown(value)}" for name, value in constraint.kwargs.items() if value is not None)
        return f"{constraint.kind} ({given})" if given else constraint.kind
    kind = all_kinds()[constraint.kind]
    words = {name: "any language" for name in kind.settings if kind.may_lack(name)}  # only code_language may lack
    words |= {name: _in_words(value, kind.settings[name]) for name, value in settings.items()}
    return kind.asks.format_map(words)


def settings_of(constraint: Constraint) -> dict[str, Any]:
    """Return the checked settings of a constraint. Raises SettingsError if a checker cannot work with them.

    A setting that is None counts as not given, because Parquet files give each row the settings of all kinds.
    """
    kind = all_kinds().get(constraint.kind)
    if kind is None:
        nearest = _nearest_kind(constraint.kind)
        raise SettingsError("no checker for this kind" + (f"; the nearest name is {nearest}" if nearest else ""))
    given = {name: value for name, value in constraint.kwargs.items() if value is not None}
    if missing := [name for name in kind.settings if name not in given and not kind.may_lack(name)]:
        raise SettingsError(f"the setting {' and '.join(missing)} is missing")
    if unknown := [name for name in given if name not in kind.settings]:
        raise SettingsError(f"there is no setting {' and '.join(unknown)}")
    settings = {name: _checked(name, value, kind.settings[name]) for name, value in given.items()}
    if settings.get("nth_paragraph", 0) > settings.get("num_paragraphs", math.inf):
        raise SettingsError(f"nth_paragraph is {settings['nth_paragraph']} of {settings['num_paragraphs']} paragraphs")
    return settings


def shown(value: Any) -> str:
    """Return a setting for a sentence, cut if it is long."""
    if isinstance(value, list):
        return ", ".join(map(shown, value)) if value else "an empty list"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= SHOWN_TEXT else f"{text[: SHOWN_TEXT - 1]}…"


def _nearest_kind(kind: str) -> str | None:
    """Return the kind whose name is most like another, in any case, with its group or without."""
    names = {name.partition(":")[2]: name for name in all_kinds()} | {name: name for name in all_kinds()}
    close = get_close_matches(kind.casefold(), names, n=1)
    return names[close[0]] if close else None


def _nearest_languages(value: str) -> str:
    # langdetect's zh-cn is zh here
    named = {name: code.partition("-")[0] for name, code in language_names().items()}
    names = {name: code for name, code in named.items() if code in languages()} | {code: code for code in languages()}
    main = re.split("[-_]", value.casefold())[0]
    close = dict.fromkeys(names[name] for name in get_close_matches(main, names, cutoff=0.75))
    if close:
        return f"the nearest {'code is' if len(close) == 1 else 'codes are'} {', '.join(close)}"
    return f"{len(languages())} codes are known, such as en, de and zh"


def _in_words(value: Any, type_: str | list[str]) -> Any:
    if isinstance(type_, list):
        return value
    return _Number(value) if isinstance(value, int) else shown(value)


def _checked(name: str, value: Any, type_: str | list[str]) -> Any:
    if isinstance(type_, list):
        if value not in type_:
            raise SettingsError(f"{name} must be one of {', '.join(type_)}, not {shown(value)}")
        return value
    type_ = type_.removesuffix("?")
    if type_ in ("count", "position"):
        return _number(name, value, smallest=1 if type_ == "position" else 0)
    if type_ == "schema":
        return _schema(name, value)
    if type_ == "words":
        if not isinstance(value, list) or not value:
            raise SettingsError(f"{name} must be a list of texts, not {shown(value)}")
        return [_text(name, word, "word") for word in value]
    return _text(name, value, type_)


def _text(name: str, value: Any, type_: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise SettingsError(f"{name} must be a text, not {shown(value)}")
    if type_ == "word" and (signs := REGEX_SIGNS.intersection(value)):
        signs_shown = " ".join(sorted(signs))
        raise SettingsError(f"{shown(value)} has {signs_shown}, which IFEval misreads; judgeloop:contains takes it")
    if type_ == "letter" and len(value) != 1:
        raise SettingsError(f"{name} must be a single letter, not {shown(value)}")
    if type_ == "code" and value not in languages():
        raise SettingsError(f"{name} {shown(value)} is unknown; {_nearest_languages(value)}")
    if type_ == "regex":
        try:
            regex.compile(value)
        except regex.error as error:
            raise SettingsError(f"{name} {shown(value)} is no regular expression: {error}") from None
    return value


def _number(name: str, value: Any, smallest: int) -> int:
    # pandas makes a float of each whole number in a column with gaps
    is_whole = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not is_whole or value != int(value) or value < smallest:
        raise SettingsError(f"{name} must be a whole number of at least {smallest}, not {shown(value)}")
    return int(value)


def _schema(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        with suppress(ValueError, RecursionError):
            value = json.loads(value)
    if not isinstance(value, dict):
        raise SettingsError(f"{name} must be a JSON schema, not {shown(value)}")
    try:
        validator_for(value).check_schema(value)
    except SchemaError as error:
        raise SettingsError(f"{name} is no JSON schema: {shown(error.message)}") from None
    try:
        json.dumps(value, allow_nan=False, default=str)  # a bound of NaN would hold for every number
    except ValueError:
        raise SettingsError(f"{name} holds NaN or an infinite number, which JSON lacks") from None
    return value
