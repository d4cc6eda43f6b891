"""Spells the flags in a piece of advice as the running command has them.

The code that advises knows a flag by its plain name, such as `--read`. A command may call it `--judge-read` or
`--judge.read`, and may have another `--max-new-tokens` for a model that is no judge.
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

from console.errors import EngineError, InputError, JudgeloopError

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
    """Take flags to be the judge's own in messages and errors within this block."""
    before = _OF_JUDGE.set(True)
    try:
        yield
    except (InputError, EngineError) as error:
        raise type(error)(spelled(str(error))) from None
    finally:
        _OF_JUDGE.reset(before)


@contextmanager
def in_section(prefix: str, settings: object, **elsewhere: str) -> Iterator[None]:
    """Name the flags of `settings` in errors within this block as a command does that has them in a section.

    With the prefix `dpo.`, `--optim` becomes `--dpo.optim`. `elsewhere` names those that stand in another section.
    """
    names = {field.name: prefix + field.name for field in dataclasses.fields(settings)} | elsewhere  # type: ignore[arg-type]
    flags = {f"--{name}".replace("_", "-"): f"--{there}".replace("_", "-") for name, there in names.items()}
    try:
        yield
    except JudgeloopError as error:
        error.args = (FLAG.sub(lambda found: flags.get(found[0], found[0]), str(error)),)
        raise


def spelled(text: str, *, of_judge: bool = False) -> str:
    """Return `text` with every flag in it as the running command spells it, or unchanged if no command runs.

    With `of_judge` the flags are the judge's own, if the command has such. If several flags fit, all are named.
    """
    command = _COMMAND.get()
    if command is None or "--" not in text or not dataclasses.is_dataclass(command):
        return text
    of_judge |= _OF_JUDGE.get()
    return FLAG.sub(lambda found: _spelled(found[0], flags_of(command), of_judge), text)


def _spelled(flag: str, flags: tuple[str, ...], of_judge: bool) -> str:
    alike = [name for name in flags if name == flag or name.endswith((f".{flag[2:]}", f"judge-{flag[2:]}"))]
    judges = [name for name in alike if JUDGES.search(name)]
    if of_judge and judges:
        return " or ".join(judges)
    others = [name for name in alike if name not in judges]
    if flag in flags or not alike:
        return flag
    return " or ".join(others or judges)


@cache
def flags_of(command: type) -> tuple[str, ...]:
    """Return the flags of a command, whose settings are a dataclass with sections."""
    return tuple(_flags(command, "--"))


def _flags(kind: type, prefix: str) -> Iterator[str]:
    for name, hint in typing.get_type_hints(kind, include_extras=True).items():
        if name not in kind.__dataclass_fields__:  # type: ignore[attr-defined]  # a class variable
            continue
        flag = prefix + name.replace("_", "-")
        section = _section(hint, ())
        if section is None:
            yield flag
        else:
            yield from _flags(section[0], prefix if tyro.conf.OmitArgPrefixes in section[1] else f"{flag}.")


def _section(hint: Any, notes: tuple[Any, ...]) -> tuple[type, tuple[Any, ...]] | None:
    """Return the dataclass of a section, or of an optional one, with its annotations, or None for a plain setting."""
    if typing.get_origin(hint) is Annotated:
        return _section(hint.__origin__, (*notes, *hint.__metadata__))
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return hint, notes
    return next((section for argument in typing.get_args(hint) if (section := _section(argument, notes))), None)
