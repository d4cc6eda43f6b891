"""Content keys and seeds: the same content always gives the same key, on every machine."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

CHUNK_BYTES = 1 << 22


def content_key(*parts: object) -> str:
    """Return 16 hex digits that identify `parts`, which must be plain data (text, numbers, lists, dicts, rows)."""
    encoded = msgspec.json.encode(parts, order="deterministic")  # keys of dictionaries sorted
    return hashlib.blake2b(encoded, digest_size=8).hexdigest()


def derived_seed(*parts: object) -> int:
    """Return a seed in [0, 2^31) that is fixed by `parts`, so that each row has its own."""
    return int(content_key(*parts), 16) % (1 << 31)


def files_digest(paths: Iterable[Path], root: Path | None = None) -> str:
    """Return 16 hex digits that identify the names and bytes of `paths`, whatever folder they are in.

    With `root` a name is the path below it, so that files in several folders are told apart.
    """
    digest = hashlib.blake2b(digest_size=8)
    named = [(path.relative_to(root).as_posix() if root else path.name, path) for path in paths]
    for name, path in sorted(named):
        digest.update(name.encode() + b"\0")  # no name holds a NUL, so name and content cannot run together
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()
