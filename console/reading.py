"""Files are read up to a limit: a packed bomb or a wrong file is an error that names it, not a machine without memory.

Bytes are counted after unpacking. Each limit is far above what a file of its kind holds.
"""

import dataclasses
import os
import re
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from console.errors import InputError

MIB = 1 << 20
MOST_BYTES_A_LINE = 256 * MIB
"""One row with all its texts. A stored row has the replies of all its samples."""
MOST_BYTES_A_FILE = 1024 * MIB
"""A file that cannot be read row by row, such as a JSON list."""
PIECE = 1 << 16
MOST_BYTES_OF_SETTINGS = 4 * MIB
MADE_BY = {"eft": dict.fromkeys(("ift.jsonl", "eft.jsonl", "held_out.jsonl", "train.jsonl"), "python -m trainer.eft")}
"""The commands that make files, by the names of folder and file."""
"""Config files, prices, rubrics, their prompts, maps."""
ValueT = TypeVar("ValueT")
NO_TEXT = re.compile("[\x00\ud800-\udfff]")
TOO_LONG_A_NUMBER = "it has a number of thousands of digits"
"""Text that Python does not read, whatever its purpose."""
MOST_BLANK_LINES = 1_000_000
"""One after the other."""


class HasLines(Protocol):
    """A source of lines."""

    def readline(self, most: int, /) -> bytes:
        """Return the next line, or no more than its first `most` bytes."""
        ...


_being_read: list[str] = []


@contextmanager
def being_read(path: Path) -> Iterator[None]:
    """Name `path` in the error if the memory runs out inside the block or in the code that uses its rows.

    Raises InputError in the first case. In the second, `files_being_read` has the name.
    """
    name = str(path)
    _being_read.append(name)
    try:
        yield
    except MemoryError:
        raise InputError(f"{path}: not enough memory to read it: free some, or split the file") from None
    finally:
        _being_read.remove(name)


@contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Put the name of a file, or of a line of it, before an InputError about it that lacks it."""
    try:
        yield
    except InputError as error:
        if str(path) in str(error):
            raise
        raise InputError(f"{path}: {error}") from None


def files_being_read() -> str:
    """Return the names of the files that are being read, the last one first."""
    return ", ".join(dict.fromkeys(reversed(_being_read)))


def size(n_bytes: int) -> str:
    """Return a limit as an error says it."""
    return f"{n_bytes // MIB:,} MiB" if n_bytes >= MIB else f"{n_bytes:,} bytes"


def lines_up_to(file: HasLines, path: Path, most: int | None = None) -> Iterator[bytes]:
    """Yield the lines of a file with their ends. Raises InputError, naming the line, for one that is too long.

    None is MOST_BYTES_A_LINE. So many blank lines in a row that it cannot be a text are an error too.
    """
    most = MOST_BYTES_A_LINE if most is None else most
    n_blank = number = 0
    while line := file.readline(most + 1):  # one byte more shows that a line is too long
        number += 1
        if len(line) > most:
            raise InputError(
                f"{path}:{number}: this line has more than {size(most)}: write each row on a line of its own, and no "
                "row as long as that; is it the file that you mean?"
            )
        n_blank = n_blank + 1 if line.isspace() else 0
        _check_blank(n_blank, path, number)
        yield line


def pieces_up_to(file: HasLines, path: Path) -> Iterator[bytes]:
    """Yield the lines of a file with their ends, a line of more than PIECE bytes in several.

    So many blank lines in a row that it cannot be a text are an error.
    """
    n_blank, number = 0, 1
    while piece := file.readline(PIECE):
        n_blank = n_blank + piece.endswith(b"\n") if piece.isspace() else 0
        _check_blank(n_blank, path, number)
        number += piece.endswith(b"\n")
        yield piece


def _check_blank(n_blank: int, path: Path, number: int) -> None:
    if n_blank > MOST_BLANK_LINES:
        raise InputError(
            f"{path}:{number}: more than {MOST_BLANK_LINES:,} blank lines in a row; is it the file that you mean?"
        )


def no_such_file(path: Path) -> str:
    """Return the error for a file that is not there, with the command that makes it if its name tells."""
    maker = MADE_BY.get(path.parent.name, {}).get(path.name)
    return f"{path}: no such file" + (f"; {maker} makes it" if maker else "")


def read_file(path: Path, most: int | None = None) -> bytes:
    """Return the bytes of a small file. Raises InputError if it cannot be read or is larger than `most`.

    None is MOST_BYTES_OF_SETTINGS.
    """
    most = MOST_BYTES_OF_SETTINGS if most is None else most
    if os.path.isdir(path):
        raise InputError(f"{path}: is a folder; name a file in it")
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)  # one byte more shows that it is too large
    except FileNotFoundError:
        raise InputError(no_such_file(path)) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError:  # a NUL in the path
        raise InputError(f"{str(path)!r}: no file can have this name") from None
    if len(data) > most:
        raise InputError(f"{path}: has more than {size(most)}; is it the file that you mean?")
    return data


def read_text(path: Path, most: int | None = None) -> str:
    """Return the text of a small file, without a byte order mark. Raises InputError if it is no UTF-8 either."""
    data = read_file(path, most)
    try:
        # Line ends as open() reads them in text mode, which cannot stop after a number of bytes.
        return data.decode("utf-8").removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        byte = f"byte 0x{data[error.start]:02X} at {error.start}"
        raise InputError(f"{path}: not UTF-8: {byte}; save the file as UTF-8") from None


def read_toml(path: Path) -> dict[str, Any]:
    """Return the table in a TOML file. Raises InputError, naming the file and the line, if there is none."""
    text = read_text(path)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not valid TOML: {error}") from None
    except RecursionError:
        raise InputError(f"{path}: not valid TOML: nested too deeply") from None
    except (ValueError, OverflowError):
        raise InputError(f"{path}: not valid TOML: {TOO_LONG_A_NUMBER}") from None


def check_inputs(config: object, words: Sequence[str]) -> None:
    """Raise InputError for a path that is empty or that no file can have, and for a text with a character that is none.

    `words` are those of the command line. Whether a file is there is asked by who reads it.
    """
    for name, text in _values(config, str):
        if NO_TEXT.search(text):
            raise InputError(f"--{name.replace('_', '-')} {text!r}: holds a character that is not text")
    for _, path in _values(config, Path):
        # Path("") equals Path("."), so only the words tell an empty one.
        if path == Path() and any(word == "" or word.endswith("=") for word in words):
            raise InputError("the path of a file is empty; is a variable in your command line not set?")
        try:
            os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}; check the path and who may read it") from None
        except ValueError:
            raise InputError(f"{path}: no file can have this name") from None


def _values(config: object, kind: type[ValueT]) -> Iterator[tuple[str, ValueT]]:
    """Yield the values of one kind with the name of the setting that has them."""
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from _values(value, kind)
        else:
            several = value if isinstance(value, tuple) else (value,)
            yield from ((field.name, item) for item in several if isinstance(item, kind))
