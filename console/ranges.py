"""Ranges of numbers, stated beside each setting and checked in one place, for flags and config files alike.

A dataclass of settings writes `samples: Count = 3` instead of `int`. `console.command.parse` checks all
sections of a command once, before anything is done. A function of the library checks its own settings.
"""

import dataclasses
import math
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import tyro

from console.errors import InputError

INFINITE = math.inf
MOST = 10**9
"""Of what is counted: more is a slip of the finger, and what takes the number further on may overflow."""
LARGEST_SEED = 2**31 - 1
"""Numbers are added to a seed, and numpy takes 32 bits."""


@dataclass(frozen=True)
class Range:
    """The allowed values of a number. Only finite numbers are in a range."""

    low: float = -INFINITE
    high: float = INFINITE
    above: bool = False
    """`low` itself is out of the range."""
    below: bool = False
    """`high` itself is out of the range."""

    def __contains__(self, value: float) -> bool:
        if not -INFINITE < value < INFINITE:  # False for nan too; math.isfinite takes no whole number over 1e308
            return False
        low = value > self.low if self.above else value >= self.low
        return low and (value < self.high if self.below else value <= self.high)

    def __str__(self) -> str:
        low, high = (str(end) if isinstance(end, int) else f"{end:g}" for end in (self.low, self.high))
        if self.low == -INFINITE:
            return "a finite number"
        if self.high >= MOST:
            return f"{'above' if self.above else 'at least'} {low}"
        return f"in {'(' if self.above else '['}{low}, {high}{')' if self.below else ']'}"


Count = Annotated[int, Range(1, MOST)]
"""A count of at least one."""
Couple = Annotated[int, Range(2, MOST)]
"""A count of at least two, because one alone cannot be compared."""
CountOr0 = Annotated[int, Range(0, MOST)]
"""A count that may be 0."""
Port = Annotated[int, Range(0, 65535)]
"""A port to listen on, where 0 stands for a free one."""
Total = Annotated[int, Range(1, 2**63 - 1)]
"""A count that may be very large, such as the tokens of a run."""
Seed = Annotated[int, Range(0, LARGEST_SEED)]
"""The seed of random numbers."""
Number = Annotated[float, Range()]
"""Any finite number."""
Positive = Annotated[float, Range(0, above=True)]
"""A number such as a learning rate."""
NotNegative = Annotated[float, Range(0)]
"""A number such as a temperature, which may be 0."""
Share = Annotated[float, Range(0, 1)]
"""A share from 0 to 1, both included."""
ShareAbove0 = Annotated[float, Range(0, 1, above=True)]
"""A share such as top_p, above 0 and at most 1."""
ShareBelow1 = Annotated[float, Range(0, 1, below=True)]
"""A share that is taken away, so less than 1."""
ShareBetween = Annotated[float, Range(0, 1, above=True, below=True)]
"""A share above 0 and below 1."""
Cosine = Annotated[float, Range(-1, 1)]
"""A cosine similarity."""
FlipShare = Annotated[float, Range(0, 0.5)]
"""The share of the smaller of two sides, at most a half."""


@dataclass(frozen=True)
class Setting:
    """A number among the settings: how it is reached from the outermost ones, and how it is typed."""

    path: tuple[str, ...]
    flag: str
    range: Range | None
    """None means any finite number."""
    kind: type

    @property
    def key(self) -> str:
        """The name in a config file, with its sections."""
        return ".".join(self.path)


def check_command(config: object) -> None:
    """Raise InputError, naming the flag and the key of a config file, for the first number out of its range."""
    for setting in settings_of(type(config)):
        for value in _values(config, setting.path):
            if problem := _problem(setting, value):
                key = "" if setting.flag == setting.key else f" ('{setting.key}' in a config file)"
                raise InputError(f"--{setting.flag} {problem}{key}")


def check_ranges(options: object) -> None:
    """Raise InputError, naming the setting, for the first number of one section of settings that is out of its range.

    For the functions of the library, whose callers have typed no flag.
    """
    for setting in settings_of(type(options)):
        for value in _values(options, setting.path):
            if problem := _problem(setting, value):
                raise InputError(f"{setting.key} {problem}")


def settings_of(kind: type) -> tuple[Setting, ...]:
    """Return all numbers of a dataclass of settings and of its sections."""
    return tuple(_settings(kind, (), ""))


def _settings(kind: type, path: tuple[str, ...], prefix: str) -> Iterator[Setting]:
    for name, hint in typing.get_type_hints(kind, include_extras=True).items():
        if name not in kind.__dataclass_fields__:  # type: ignore[attr-defined]  # a class variable
            continue
        here, flag = (*path, name), prefix + name.replace("_", "-")
        for plain, notes in _alternatives(hint, ()):
            if tyro.conf.Suppress in notes:  # no flag and no section: another setting fills it
                continue
            if dataclasses.is_dataclass(plain) and isinstance(plain, type):
                within = prefix if tyro.conf.OmitArgPrefixes in notes else f"{flag}."
                yield from _settings(plain, here, within)
            elif plain in (int, float):
                stated = next((note for note in notes if isinstance(note, Range)), None)
                yield Setting(here, flag, stated, plain)


def _alternatives(hint: Any, notes: tuple[Any, ...]) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Yield the plain types that a hint allows, a tuple's elements too, each with what is annotated on it."""
    if typing.get_origin(hint) is Annotated:
        yield from _alternatives(hint.__origin__, (*notes, *hint.__metadata__))
    elif typing.get_origin(hint) in (dict, typing.Literal):
        return
    elif arguments := typing.get_args(hint):
        for argument in arguments:
            yield from _alternatives(argument, notes)
    else:
        yield hint, notes


def _values(config: object, path: tuple[str, ...]) -> Iterator[float]:
    """Yield the numbers at `path`: none if it or its section is absent, several for a tuple."""
    value: Any = config
    for name in path:
        value = getattr(value, name, None)
        if value is None:
            return
    for number in value if isinstance(value, tuple) else (value,):
        if isinstance(number, int | float) and not isinstance(number, bool):
            yield number


def _problem(setting: Setting, value: float) -> str | None:
    allowed = setting.range or Range()
    if value in allowed:
        return None
    shown = str(value) if isinstance(value, float) or abs(value) < 10**30 else "a number of more than 30 digits"
    if MOST <= allowed.high < value < INFINITE:
        return f"must be at most {allowed.high}, not {shown}"
    return f"must be {allowed}, not {shown}"
