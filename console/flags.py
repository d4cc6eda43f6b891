"""Spells the flags that an advice names as the running command has them.

What advises stands deep inside and knows a flag by its plain name, `--read`; a command may call it `--judge-read` or
`--judge.read`, and may have another `--max-new-tokens` for what is no judge.
"""

import dataclasses
import re
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from functools import cache
from typing import Annotated, Any

import tyro

from console.errors import EngineError, InputError

FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]\b(?![.\w])")
JUDGES = re.compile("judge[-.]")
_OF_JUDGE: ContextVar[bool] = ContextVar("of_judge", default=False)
_COMMAND: ContextVar[type | None] = ContextVar("command", default=None)


def begin(config: object) -> Token[type | None]:
    """Take the settings of the command that runs from here on, until `end`."""
    return _COMMAND.set(type(config))


def end(before: Token[type | None]) -> None:
    """Go back to the command before, if any."""
    _COMMAND.reset(before)


@contextmanager
def about_judge() -> Iterator[None]:
    """Take the judge's own flags to be meant, in what is said within and in the errors that are raised there."""
    before = _OF_JUDGE.set(True)
    try:
        yield
    except (InputError, EngineError) as error:
        raise type(error)(spelled(str(error))) from None
    finally:
        _OF_JUDGE.reset(before)


def spelled(text: str, *, of_judge: bool = False) -> str:
    """Return `text` with every flag in it as the running command spells it; as it stands where none runs.

    With `of_judge` the judge's own flags are meant, where the command has such. Several that may be meant are all
    named.
    """
    command = _COMMAND.get()
    if command is None or "--" not in text or not dataclasses.is_dataclass(command):
        return text
    of_judge |= _OF_JUDGE.get()
    return FLAG.sub(lambda found: _spelled(found[0], flags_of(command), of_judge), text)


def _spelled(flag: str, flags: tuple[str, ...], of_judge: bool) -> str:
    alike = [one for one in flags if one == flag or one.endswith((f".{flag[2:]}", f"judge-{flag[2:]}"))]
    judges = [one for one in alike if JUDGES.search(one)]
    if of_judge and judges:
        return " or ".join(judges)
    others = [one for one in alike if one not in judges]
    if flag in flags or not alike:
        return flag
    return " or ".join(others or judges)


@cache
def flags_of(command: type) -> tuple[str, ...]:
    """Return the flags of a command, whose settings are a dataclass with sections."""
    return tuple(_flags(command, "--"))


def _flags(kind: type, prefix: str) -> Iterator[str]:
    for name, hint in typing.get_type_hints(kind, include_extras=True).items():
        if name not in kind.__dataclass_fields__:  # type: ignore[attr-defined]
            continue
        flag = prefix + name.replace("_", "-")
        section = _section(hint, ())
        if section is None:
            yield flag
        else:
            yield from _flags(section[0], prefix if tyro.conf.OmitArgPrefixes in section[1] else f"{flag}.")


def _section(hint: Any, notes: tuple[Any, ...]) -> tuple[type, tuple[Any, ...]] | None:
    """Return the dataclass that a setting is, or may be, with what is annotated on it; None for a plain setting."""
    if typing.get_origin(hint) is Annotated:
        return _section(hint.__origin__, (*notes, *hint.__metadata__))
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return hint, notes
    return next((found for one in typing.get_args(hint) if (found := _section(one, notes))), None)
