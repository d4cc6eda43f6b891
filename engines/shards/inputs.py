"""Inputs of shared work: a file, a folder of files or a URL, each file on this disk as long as it is read."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec

from console.errors import InputError
from engines.shards.rows import unpacked
from records.files import checked_file
from records.keys import content_key

MANGLED = ":/"
"""How `Path` leaves the `://` of a URL."""


def url_of(source: str | Path) -> str | None:
    """Return the URL that a path was before `Path` took one of its slashes, or None if it is a path."""
    scheme, found, rest = str(source).partition(MANGLED)
    if not found or len(scheme) < 2 or not scheme.replace("+", "").isalnum():
        return None
    return f"{scheme}://{rest.lstrip('/')}"


def input_key(source: str | Path) -> str:
    """Return a key that changes if the input does: of its files' names, sizes and times of change.

    Raises InputError if there is no file.
    """
    store, paths = _files(source)
    if store is None:
        stats = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in map(Path, paths)]
        return content_key(stats)
    try:
        return content_key([(path, store.ukey(path)) for path in paths])
    except Exception as error:  # each store has types of its own
        raise InputError(f"{source}: {' '.join(str(error).split())[:300]}") from None


def local_files(source: str | Path) -> Iterator[Path]:
    """Yield each file of the input, in the order of their names, as a plain file that is there until the next one.

    Files in `.zst` are unpacked. Raises InputError if there is none, or one cannot be fetched.
    """
    store, paths = _files(source)
    for path in paths:
        with _here(store, path) as file, _plain(file) as plain:
            yield plain


def _files(source: str | Path) -> tuple[Any, list[str]]:
    url = url_of(source)
    if url is None:
        path = Path(source)
        if path.is_dir():
            files = sorted(str(file) for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
            if not files:
                raise InputError(f"{path}: no file is in this folder")
            return None, files
        return None, [str(checked_file(path))]
    try:
        store, root = fsspec.core.url_to_fs(url)
        found = store.glob(root) if "*" in root else store.find(root)
    except Exception as error:  # each store has types of its own
        raise InputError(f"{url}: {' '.join(str(error).split())[:300]}") from None
    if not found:
        raise InputError(f"{url}: no such file")
    return store, sorted(found)


@contextmanager
def _here(store: Any, path: str) -> Iterator[Path]:
    if store is None:
        yield Path(path)
        return
    with tempfile.TemporaryDirectory() as scratch:
        local = Path(scratch) / Path(path).name
        try:
            store.get_file(path, str(local))
        except Exception as error:  # each store has types of its own
            raise InputError(f"{path}: cannot be fetched: {' '.join(str(error).split())[:300]}") from None
        yield local


@contextmanager
def _plain(path: Path) -> Iterator[Path]:
    if path.suffix != ".zst":
        yield path
        return
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch) / path.stem
        try:
            with unpacked(path) as source, plain.open("wb") as target:
                shutil.copyfileobj(source, target)
        except OSError as error:
            raise InputError(f"{path}: not a .zst file, or damaged: {error}") from None
        yield plain
