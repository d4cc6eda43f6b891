"""Runs a command: flags over config file over defaults in, exit code out.

A command is a module with a frozen dataclass `Config(Flags)` and a function `main(config) -> None`. It ends with
`run(Config, main, "python -m judges.score")`. The result goes to stdout, everything else to stderr.
"""

import os
import re
import sys
import textwrap
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, NoReturn, TextIO, TypeVar, get_args

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from console.address import shown_within, without_secrets
from console.config import load_config
from console.errors import InputError, JudgeloopError
from console.output import say, say_text, tell_text
from console.ranges import Seed, check_command
from console.reading import check_inputs, files_being_read
from console.table import screen_width
from console.writing import REMEDIES, check_outputs, said

INTERRUPTED = 130
BASE_URL = re.compile(r"--(?:[\w.-]+[.-])?base-url")


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The flags that every command has."""

    config: Path | None = None
    """A TOML file with values for these flags. A flag on the command line overrides it."""
    seed: Seed = 0
    """The seed of all random choices."""
    dry_run: bool = False
    """Print what would be done, then stop."""
    fresh: bool = False
    """Start over instead of resuming. The earlier output is renamed, not deleted."""
    json: bool = False
    """Print the result as JSON."""
    strict: bool = False
    """Stop at the first bad row of an input file. By default bad rows are reported and skipped."""
    debug: bool = False
    """Show tracebacks, and the messages of libraries."""


FlagsT = TypeVar("FlagsT", bound=Flags)
Given = Annotated[Path | None, tyro.conf.Positional]


OPTIONAL = ConstructorRegistry()


@OPTIONAL.primitive_rule
def _optional(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """Show the values of `X | None` as those of X in the help, not as `{None}|X`. The word None is still taken."""
    kinds = get_args(info.type)
    if NoneType not in kinds:
        return None
    inner: Any = reduce(or_, (kind for kind in kinds if kind is not NoneType))
    spec = ConstructorRegistry.get_primitive_spec(PrimitiveTypeInfo.make(inner, info.markers))
    if not isinstance(spec, PrimitiveConstructorSpec) or spec.nargs != 1:
        return None
    return replace(
        spec,
        instance_from_str=lambda words: None if words == ["None"] else spec.instance_from_str(words),
        is_instance=lambda value: value is None or spec.is_instance(value),
        str_from_instance=lambda value: ["None"] if value is None else spec.str_from_instance(value),
        choices=spec.choices and ("None", *spec.choices),
    )


def off(text: str) -> object:
    """Return the help of a setting that is true by default. Its flag is --no-NAME, and `text` says what that does."""
    return tyro.conf.arg(help=text, help_behavior_hint="(default: this is done)")


def parse(config_type: type[FlagsT], argv: Sequence[str], prog: str) -> FlagsT:
    """Return the config that `argv` asks for. A wrong flag prints its help and exits with 2.

    Raises InputError for a number out of its range, StoreError for an output that cannot be written, each with its
    flag, wherever it comes from.
    """
    argv = together(argv)
    default = config_type()
    path = _config_path(argv)
    if path is not None:
        default = load_config(path, default)
    words, quiet = [shown_within(word) for word in argv], without_secrets(default)
    if words != list(argv) or quiet != default:
        _parsed(config_type, words, prog, quiet)  # what is wrong is said here, without the keys in the addresses
    config = _parsed(config_type, argv, prog, default)
    check_command(config)
    check_outputs(config)
    check_inputs(config, argv)
    return config


def together(argv: Sequence[str]) -> list[str]:
    """Return `argv` with the addresses of a repeated --base-url in one, with spaces between them."""
    words: list[str] = []
    places: dict[str, int] = {}
    rest = iter(argv)
    for word in rest:
        flag, mark, value = word.partition("=")
        if BASE_URL.fullmatch(flag) and (value := value if mark else next(rest, "")):
            if flag in places:
                words[places[flag]] += f" {value}"
                continue
            words.append(flag)
            places[flag] = len(words)
            word = value
        words.append(word)
    return words


def _parsed(config_type: type[FlagsT], argv: Sequence[str], prog: str, default: FlagsT) -> FlagsT:
    return tyro.cli(
        config_type,
        prog=prog,
        description="",
        default=default,
        args=list(argv),
        config=(tyro.conf.FlagCreatePairsOff, tyro.conf.PositionalMetavarFromFieldName),
        registry=OPTIONAL,
    )


def run(config_type: type[FlagsT], main: Callable[[FlagsT], None], prog: str) -> NoReturn:
    """Parse the command line, run `main` and exit: 0 done, 1 failed, 2 bad input, 130 interrupted.

    If the reader of what is printed leaves, as `head` does, the command ends without a word.
    """
    try:
        _run(config_type, main, prog)
    except BrokenPipeError:
        pass
    finally:
        for stream in (sys.stdout, sys.stderr):
            _let_go(stream)
    sys.exit(0)


def _run(config_type: type[FlagsT], main: Callable[[FlagsT], None], prog: str) -> None:
    # Before the flags are parsed: libraries read these variables when they are imported.
    _quiet_libraries("--debug" in sys.argv)
    try:
        if {"-h", "--help"} & set(sys.argv):
            text = (sys.modules["__main__"].__doc__ or "").strip()
            tell_text(narrowed(text, screen_width()) + "\n")  # tyro would run its lines together
        try:
            config = parse(config_type, sys.argv[1:], prog)
        finally:
            sys.stdout.flush()  # the help: here, where a full disk is still caught
        main(config)
        sys.stdout.flush()
    except JudgeloopError as error:
        _fail(f"error: {error}", error.exit_code)
    except KeyboardInterrupt:
        _fail("interrupted: finished work is kept; run the same command again to resume", INTERRUPTED)
    except BrokenPipeError:
        raise
    except MemoryError:
        files = files_being_read()
        where = f"{files}: " if files else ""
        _fail(f"error: {where}not enough memory; take fewer rows with --limit, or smaller batches", 1)
    except OSError as error:
        if error.filename is None and error.errno not in REMEDIES:  # a library's own
            _fail_with(error)
        _fail(f"error: {error.filename or 'what was printed or written'}: {said(error)}", 1)
    except Exception as error:
        _fail_with(error)


def _let_go(stream: TextIO) -> None:
    """Write what is left. If nobody reads it any more, it goes nowhere: Python writes once more when it ends."""
    try:
        stream.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def narrowed(text: str, width: int) -> str:
    """Return a command's docstring with lines of at most `width` cells, if its own lines are longer.

    A paragraph is wrapped again. In a block of examples each comment, which two spaces set off, goes above its
    example, and an example that is too long is continued with a backslash before a flag.
    """
    return "\n\n".join(_narrowed(block.splitlines(), width) for block in text.split("\n\n"))


def _narrowed(lines: Sequence[str], width: int) -> str:
    if max(map(len, lines)) <= width or any(line.startswith((" ", "- ")) for line in lines):  # a list stays as it is
        return "\n".join(lines)
    if not lines[0].startswith(("python ", "accelerate ")):
        return textwrap.fill(" ".join(lines), width, break_long_words=False, break_on_hyphens=False)
    shown: list[str] = []
    for line in lines:
        example, _, comment = line.partition("  ")
        if comment:
            shown += textwrap.wrap(comment.strip(), width, initial_indent="# ", subsequent_indent="# ")
        words = re.sub(r"(?<=\s)(--\S+) (?!-)", "\\1\0", example)  # a flag stays with its value
        parts = textwrap.wrap(
            words, width - 2, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
        )
        shown.append(" \\\n".join(parts).replace("\0", " "))
    return "\n".join(shown)


def _fail_with(error: Exception) -> NoReturn:
    text = " ".join(str(error).split())
    _fail(f"error: {type(error).__name__}: {text[:300]}; run again with --debug for the traceback", 1)


def _fail(message: str, code: int) -> NoReturn:
    with suppress(BrokenPipeError):  # it failed all the same
        if "--debug" in sys.argv:  # the flags may not be parsed yet
            say_text(traceback.format_exc())
        say(message)
    sys.exit(code)


# The file gives the defaults with which the flags are parsed, so it is looked for beforehand.
def _config_path(argv: Sequence[str]) -> Path | None:
    for position, word in enumerate(argv):
        if word == "--config":
            if position + 1 == len(argv):
                raise InputError("--config needs the path of a TOML file")
            return Path(argv[position + 1])
        if word.startswith("--config="):
            return Path(word.removeprefix("--config="))
    return None


def _quiet_libraries(debug: bool) -> None:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # unset, each fork prints a warning
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")  # trl.experimental warns when it is imported
    if not debug:
        os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
        os.environ.setdefault("TQDM_DISABLE", "1")  # every stage has a progress line of its own
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
        warnings.simplefilter("ignore")
