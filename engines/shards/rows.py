"""Rows of a shard as a file: JSON lines, packed JSON lines or Parquet, the same bytes for the same rows."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Literal, TypeVar, get_args

import msgspec

from console.errors import RowError

RowT = TypeVar("RowT")
Kind = Literal["jsonl", "jsonl.zst", "parquet"]
KINDS = get_args(Kind)


def kind_of(path: str | Path) -> Kind:
    """Return the kind of file that a part's name says."""
    return next(kind for kind in reversed(KINDS) if str(path).endswith(f".{kind}"))


def write_part(path: Path, rows: Iterable[Any], row_type: type, kind: Kind) -> None:
    """Write `rows` to `path` one by one."""
    if kind == "parquet":
        _packed().write_parquet(path, rows, row_type)
        return
    with _opened(path, kind, "wb") as file:
        for row in rows:
            file.write(msgspec.json.encode(row) + b"\n")


def read_part(path: Path, row_type: type[RowT], kind: Kind) -> Iterator[RowT]:
    """Yield the rows of a file that `write_part` wrote. Raises RowError if one cannot be read."""
    try:
        if kind == "parquet":
            yield from _packed().read_parquet(path, row_type)
            return
        decoder = msgspec.json.Decoder(row_type)
        with _opened(path, kind, "rb") as file:
            for line in file:
                yield decoder.decode(line)
    except (msgspec.MsgspecError, OSError, ValueError, EOFError) as error:
        raise RowError(
            f"{path}: not a whole file of {row_type.__name__} rows: {error}; remove it to make it again"
        ) from None


def unpacked(path: Path) -> IO[bytes]:
    """Return a file that is packed with zstd, open for reading."""
    return _opened(path, "jsonl.zst", "rb")


def _opened(path: Path, kind: Kind, mode: Literal["rb", "wb"]) -> IO[bytes]:
    return path.open(mode) if kind == "jsonl" else _packed().open_zst(path, mode)


def _packed() -> Any:
    from engines.shards import packed  # Arrow takes a fifth of a second to load, and most commands share nothing

    return packed
